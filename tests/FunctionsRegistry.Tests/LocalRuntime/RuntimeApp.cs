using System.Collections.Concurrent;
using FunctionsRegistry.LocalRuntime;
using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.Tests.LocalRuntime;

/// <summary>The runtime with chosen function classes, over Kestrel on a free port, without services.</summary>
internal sealed class RuntimeApp : IAsyncDisposable
{
    private readonly string _folder;

    private RuntimeApp(IHost host, string folder, ConcurrentQueue<(LogLevel Level, string Text)> log, ConcurrentQueue<string> errors)
    {
        (Host, _folder, Log, Errors) = (host, folder, log, errors);
        var address = host.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
#pragma warning disable RS0030 // No factory here: one client of one test.
        Client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = new Uri(address), Timeout = TimeSpan.FromSeconds(20) };
#pragma warning restore RS0030
    }

    public IHost Host { get; }

    public HttpClient Client { get; }

    public ConcurrentQueue<(LogLevel Level, string Text)> Log { get; }

    /// <summary>Messages of logged exceptions.</summary>
    public ConcurrentQueue<string> Errors { get; }

    public static Task<RuntimeApp> StartAsync(params Type[] functions) => StartAsync(functions, _ => { });

    public static async Task<RuntimeApp> StartAsync(
        Type[] functions, Action<FunctionsApplicationBuilder> configure, string host = "", IReadOnlyDictionary<int, string>? contractPorts = null, params string[] args)
    {
        var folder = Directory.CreateTempSubdirectory("runtime-app").FullName;
        var prefix = host.Contains("\"extensions\"", StringComparison.Ordinal) ? "" : "\"extensions\": { \"http\": { \"routePrefix\": \"\" } },";
        await File.WriteAllTextAsync(Path.Combine(folder, "host.json"), $"{{ \"version\": \"2.0\", {prefix} {host} }}");
        var (log, errors) = (new ConcurrentQueue<(LogLevel, string)>(), new ConcurrentQueue<string>());
        var builder = CreateBuilder(folder, functions, contractPorts, args);
        builder.ConfigureFunctionsWebApplication();
#pragma warning disable CA2000 // The container disposes it.
        builder.Logging.ClearProviders().AddProvider(new QueueLog(log, errors));
#pragma warning restore CA2000
        configure(builder);
        var app = builder.Build();
        await app.StartAsync();
        return new RuntimeApp(app, folder, log, errors);
    }

    /// <summary>A builder for a folder that holds the two files.</summary>
    public static FunctionsApplicationBuilder CreateBuilder(
        string folder, Type[] functions, IReadOnlyDictionary<int, string>? contractPorts = null, params string[] args) =>
        LocalHost.CreateBuilder(
            ["--Local:Stack=false", "--Local:Port=0", $"--Local:ContractPorts={contractPorts is not null}", .. args],
            new LocalHostOptions { BaseDirectory = folder, FunctionTypes = functions, ContractPorts = contractPorts ?? new Dictionary<int, string>() });

    /// <summary>Status and body of a request.</summary>
    public async Task<(int Status, string Body)> SendAsync(string method, string path)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using var response = await Client.SendAsync(request);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    public Task<(int Status, string Body)> GetAsync(string path) => SendAsync("GET", path);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Host.StopAsync();
        Host.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private sealed class QueueLog(ConcurrentQueue<(LogLevel, string)> log, ConcurrentQueue<string> errors) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            // First, so that a test that sees the entry sees the message.
            if (exception is not null)
                errors.Enqueue(exception.Message);
            log.Enqueue((logLevel, formatter(state, exception)));
        }

        public bool IsEnabled(LogLevel logLevel) => true;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public void Dispose()
        {
        }
    }
}
