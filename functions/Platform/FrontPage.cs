using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using FunctionsRegistry.Functions.OpenApi;

namespace FunctionsRegistry.Functions.Platform;

/// <summary>A contract on the front page.</summary>
/// <param name="BaseUrl">What its clients are given.</param>
/// <param name="Command">A line for a shell that shows something.</param>
public sealed record FrontPageContract(string Name, string BaseUrl, string Docs, string Redoc, string Openapi, string Command);

/// <summary>What the front page shows, as JSON. <paramref name="Requests"/>: answered by this process. <paramref name="Counts"/>: null while the database is down.</summary>
public sealed record FrontPageResponse(
    HealthResponse Health, IReadOnlyDictionary<string, long>? Counts, long Requests, IReadOnlyList<FrontPageContract> Contracts);

/// <summary>The page at <c>/</c>: what is running, how much there is, and where the contracts are. Useful without scripts; nothing loaded from elsewhere.</summary>
internal static class FrontPage
{
    // A contract whose prefix has no functions yet is not shown.
    private static readonly (string Prefix, string Path, string Options)[] s_examples =
    [
        ("agentx", "/api/v1/agents", ""),
        ("dhg", "/api/v1/agents/discover", ""),
        ("hokusai", "/health", ""),
        ("indexagent", "/search", """ -H 'content-type: application/json' -d '{"query": "parse"}'"""),
        ("airflow", "/api/v1/dags", " -u airflow:airflow"),
        ("evolution", "/health", ""),
    ];

    private static readonly HashSet<string> s_served = [.. OpenApiDocuments.Functions().Select(function => function.Trigger.Route!.Split('/')[0])];

    /// <summary>The present state.</summary>
    public static FrontPageResponse Create(HttpRequest request, HealthResponse health, IReadOnlyDictionary<string, long>? counts, long requests) => new(
        health, counts, requests,
        [.. s_examples.Where(example => s_served.Contains(example.Prefix)).Select(example => new FrontPageContract(
            OpenApiDocuments.Contracts[example.Prefix], $"{request.Scheme}://{request.Host}/{example.Prefix}", $"/{example.Prefix}/docs", $"/{example.Prefix}/redoc",
            $"/{example.Prefix}/openapi.json", $"curl{example.Options} {request.Scheme}://{request.Host}/{example.Prefix}{example.Path}"))]);

    /// <summary>As a page.</summary>
    public static IResult Show(FrontPageResponse state, PageAssets assets)
    {
        var html = new StringBuilder();
        html.Append(CultureInfo.InvariantCulture, $"""
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
            <title>FunctionsRegistry</title><link rel="icon" href="data:,"><link rel="stylesheet" href="{assets.Address("page.css")}"></head><body>
            <header><h1>FunctionsRegistry</h1><p class="quiet">Registries and APIs for agents and models: {state.Contracts.Count} contracts in one app.</p></header><main>
            <p>Status: <strong class="{Encode(state.Health.Status)}">{Encode(state.Health.Status)}</strong>.
            API of all contracts: <a href="docs">Swagger UI</a>, <a href="redoc">ReDoc</a>, <a href="openapi.json">openapi.json</a>.
            <a href="health">Health</a>, <a href="metrics">metrics</a>.</p><h2>What there is</h2>
            """);
        if (state.Counts is null)
            html.Append("<p>The database does not answer, so nothing can be counted.</p>");
        html.Append("<ul class=\"counts\">");
        foreach (var (name, count) in state.Counts ?? new Dictionary<string, long>())
            Count(html, name, count);
        Count(html, "requests", state.Requests);
        html.Append("</ul><h2>Contracts</h2><ul class=\"contracts\">");
        foreach (var contract in state.Contracts)
            html.Append(CultureInfo.InvariantCulture, $"""
                <li><h3>{Encode(contract.Name)}</h3><p class="quiet">{Encode(contract.BaseUrl)}</p>
                <p><a href="{contract.Docs}" aria-label="Swagger UI of {Encode(contract.Name)}">Swagger UI</a>, <a href="{contract.Redoc}" aria-label="ReDoc of {Encode(contract.Name)}">ReDoc</a>, <a href="{contract.Openapi}" aria-label="openapi.json of {Encode(contract.Name)}">openapi.json</a></p>
                <div class="command"><code tabindex="0">{Encode(contract.Command)}</code><button type="button" data-copy="{Encode(contract.Command)}" aria-label="Copy the command of {Encode(contract.Name)}" hidden>Copy</button></div></li>
                """);
        html.Append("</ul><h2>Services</h2><table><thead><tr><th scope=\"col\">Service</th><th scope=\"col\">State</th><th scope=\"col\">Answer in ms</th></tr></thead><tbody>");
        foreach (var (name, service) in state.Health.Services)
            html.Append(CultureInfo.InvariantCulture, $"""
                <tr><td>{Encode(name.Replace('_', ' '))}</td><td><span class="{Encode(service.Status)}">{Encode(service.Status)}</span>{(service.Detail is null ? "" : ": " + Encode(service.Detail))}</td><td class="number">{service.DurationMs:0.0}</td></tr>
                """);
        html.Append(CultureInfo.InvariantCulture, $"</tbody></table></main><script src=\"{assets.Address("page.js")}\"></script></body></html>");
        return Results.Content(html.ToString(), "text/html; charset=utf-8", Encoding.UTF8);
    }

    private static void Count(StringBuilder html, string name, long count) =>
        html.Append(CultureInfo.InvariantCulture, $"<li><strong>{count:N0}</strong>{Encode(name.Replace('_', ' '))}</li>");

    private static string Encode(string text) => HtmlEncoder.Default.Encode(text);
}
