using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace FunctionsRegistry.Tests.Airflow;

/// <summary>A third party on loopback that remembers who called and when.</summary>
public sealed class EchoServer : IAsyncDisposable
{
    private readonly WebApplication _server;

    private EchoServer(WebApplication server) => _server = server;

    /// <summary>Path, Idempotency-Key and time of every call.</summary>
    public ConcurrentQueue<(string Path, string? Key, DateTimeOffset At)> Calls { get; } = new();

    public string Url => _server.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    public static async Task<EchoServer> StartAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        var server = new EchoServer(builder.Build());
        server._server.Run(server.AnswerAsync);
        await server._server.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private async Task AnswerAsync(HttpContext http)
    {
        Calls.Enqueue((http.Request.Path.Value!, http.Request.Headers["Idempotency-Key"], TimeProvider.System.GetUtcNow()));
        switch (http.Request.Path.Value)
        {
            case "/slow":
                await Task.Delay(Timeout.Infinite, http.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
                return;
            case "/large":
                await http.Response.WriteAsync(new string('x', 60_000));
                return;
            case "/redirect":
                http.Response.Redirect("/json");
                return;
            case "/broken":
                http.Abort();
                return;
            case "/error":
                http.Response.StatusCode = 500;
                await http.Response.WriteAsync("out of order");
                return;
            default:
                await Task.Delay(20);
                using (var reader = new StreamReader(http.Request.Body))
                    await http.Response.WriteAsJsonAsync(new
                    {
                        method = http.Request.Method,
                        header = http.Request.Headers["X-Test"].ToString(),
                        type = http.Request.ContentType,
                        body = await reader.ReadToEndAsync(),
                    });
                return;
        }
    }
}
