using System.Text;
using System.Text.Encodings.Web;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>The page at <c>/</c>: what is running and where the contracts are. Plain HTML, no script, nothing loaded from elsewhere.</summary>
internal static class FrontPage
{
    private static readonly (string Name, string Prefix, string Try)[] s_contracts =
    [
        ("Agent marketplace (agentx)", "/agentx", "/agentx/api/v1/agents"),
        ("Agent and data registry (DHG)", "/dhg", "/dhg/api/v1/agents/discover"),
        ("Model registry and MLflow (Hokusai)", "/hokusai", "/hokusai/health"),
        ("Code search (DEAN IndexAgent)", "/indexagent", "/indexagent/repositories"),
        ("Airflow (DEAN)", "/airflow", "/airflow/health"),
    ];

    /// <summary>Renders the present state.</summary>
    public static IResult Create(HealthResponse health)
    {
        var html = new StringBuilder("""
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>FunctionsRegistry</title><style>
            :root { color-scheme: light dark; } body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
            table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #8886; }
            code { overflow-wrap: anywhere; }
            </style></head><body><main><h1>FunctionsRegistry</h1>
            """);
        html.Append($"<p>Status: <strong>{Encode(health.Status)}</strong>, see <a href=\"/health\">/health</a>.</p>");
        html.Append("<h2>Contracts</h2><table><thead><tr><th scope=\"col\">Contract</th><th scope=\"col\">Base URL</th><th scope=\"col\">Try</th></tr></thead><tbody>");
        foreach (var (name, prefix, example) in s_contracts)
            html.Append($"<tr><td>{Encode(name)}</td><td><code>{prefix}</code></td><td><a href=\"{example}\"><code>{example}</code></a></td></tr>");
        html.Append("</tbody></table><h2>Services</h2><table><thead><tr><th scope=\"col\">Service</th><th scope=\"col\">State</th></tr></thead><tbody>");
        foreach (var (name, service) in health.Services)
            html.Append($"<tr><td>{Encode(name)}</td><td>{Encode(service.Status)}{(service.Detail is null ? "" : " (" + Encode(service.Detail) + ")")}</td></tr>");
        html.Append("</tbody></table></main></body></html>");
        return Results.Content(html.ToString(), "text/html; charset=utf-8", Encoding.UTF8);
    }

    private static string Encode(string text) => HtmlEncoder.Default.Encode(text);
}
