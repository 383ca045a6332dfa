using System.Net;
using System.Reflection;
using FunctionsRegistry.LocalRuntime.Http;
using FunctionsRegistry.LocalRuntime.Timers;
using FunctionsRegistry.LocalStack;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>What Core Tools, the host and the worker do between them, in one process.</summary>
internal static class LocalHost
{
    // The host's own limit; functions set lower ones.
    private const long MaxRequestBodyBytes = 100L << 20;

    public static FunctionsApplicationBuilder CreateBuilder(string[] args)
    {
        var settings = HostSettings.Read(AppContext.BaseDirectory);
        var web = WebApplication.CreateEmptyBuilder(new WebApplicationOptions
        {
            ContentRootPath = AppContext.BaseDirectory,
            EnvironmentName = Environment.GetEnvironmentVariable("AZURE_FUNCTIONS_ENVIRONMENT") ?? "Development",
            ApplicationName = Assembly.GetEntryAssembly()?.GetName().Name,
        });
        AddConfiguration(web.Configuration, settings, args);
        AddLogging(web, settings);
        Listen(web, settings);
        StartServices(web);
        return new FunctionsApplicationBuilder(web, settings);
    }

    public static IHost Build(WebApplicationBuilder web, FunctionsApplicationBuilder app)
    {
        var assembly = web.Configuration["Local:FunctionsAssembly"] is { } name ? Assembly.Load(name) : Assembly.GetEntryAssembly()!;
        var functions = FunctionTable.Scan(assembly);
        web.Services.AddSingleton(functions);
        web.Services.AddSingleton(app.Settings);
        web.Services.AddSingleton(new FunctionInvoker(app.Middleware));
        web.Services.AddRoutingCore();
        web.Services.AddHostedService<TimerService>();
        var host = web.Build();
        var router = new HttpRouter(functions.Http, app.Settings.RoutePrefix, host.Services.GetRequiredService<IInlineConstraintResolver>());
        var dispatcher = new HttpDispatcher(router, host.Services.GetRequiredService<FunctionInvoker>(), app.Settings,
            host.Services.GetRequiredService<ILogger<HttpDispatcher>>(), host.Lifetime.ApplicationStopped);
        host.Run(dispatcher.DispatchAsync);
        return host;
    }

    // The order of Core Tools: files, then the environment, then the command line; the later wins.
    private static void AddConfiguration(ConfigurationManager configuration, HostSettings settings, string[] args)
    {
        configuration.AddInMemoryCollection(settings.Values);
        configuration.AddEnvironmentVariables("AZURE_FUNCTIONS_");
        configuration.AddEnvironmentVariables();
        configuration.AddCommandLine(args);
    }

    private static void AddLogging(WebApplicationBuilder web, HostSettings settings)
    {
        web.Logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "HH:mm:ss ";
            console.UseUtcTimestamp = true;
        });
        web.Logging.AddFilter("Microsoft", LogLevel.Warning).AddFilter("System.Net.Http", LogLevel.Warning).AddFilter("Azure", LogLevel.Warning);
        foreach (var (category, level) in settings.LogLevels)
            web.Logging.AddFilter(category == "Default" ? null : category, level);
        web.Logging.AddConfiguration(web.Configuration.GetSection("Logging"));
    }

    private static void Listen(WebApplicationBuilder web, HostSettings settings)
    {
        var address = IPAddress.Parse(web.Configuration["Local:Address"] ?? "127.0.0.1");
        var port = web.Configuration.GetValue("Local:Port", settings.LocalHttpPort);
        if (port != 0 && !ContractPorts.IsFree(address, port))
            throw new LocalHostException($"Port {port} is taken: stop what uses it, or choose another with Local__Port.");
        var contracts = new Dictionary<int, string>();
        if (web.Configuration.GetValue("Local:ContractPorts", true))
            foreach (var (contractPort, prefix) in ContractPorts.All)
            {
                if (contractPort != port && ContractPorts.IsFree(address, contractPort))
                    contracts.Add(contractPort, prefix);
                else
                    Console.WriteLine($"Port {contractPort} is taken: {prefix} is served under the main port only (Local__ContractPorts=false silences this).");
            }
        web.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxRequestBodyBytes;
            kestrel.Listen(address, port, Plain);
            foreach (var contractPort in contracts.Keys)
                kestrel.Listen(address, contractPort, Plain);
        });
        web.Services.AddSingleton<IStartupFilter>(new ContractPorts(contracts));

        static void Plain(ListenOptions options) => options.Protocols = HttpProtocols.Http1;
    }

    private static void StartServices(WebApplicationBuilder web)
    {
        if (!web.Configuration.GetValue("Local:Stack", true))
            return;
        try
        {
#pragma warning disable CA2000 // The container disposes it when the host ends.
            var services = LocalServices.Start(StackOptions.FromConfiguration(web.Configuration), Console.WriteLine);
#pragma warning restore CA2000
            web.Configuration.AddInMemoryCollection(services.Settings);
            // Through a factory, because the container disposes only what it made.
            web.Services.AddSingleton(_ => services);
            web.Services.AddHostedService<StackLifetime>();
        }
        catch (LocalStackException exception)
        {
            throw new LocalHostException(exception.Message);
        }
    }

    // Hosted services stop in reverse order: registered first, the services end last.
    private sealed class StackLifetime(LocalServices services) : IHostedService, IDisposable
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public void Dispose() => services.Dispose();
    }
}
