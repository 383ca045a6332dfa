using System.Reflection;
using FunctionsRegistry.LocalRuntime.Durable;
using FunctionsRegistry.LocalRuntime.Http;
using FunctionsRegistry.LocalRuntime.Timers;
using FunctionsRegistry.LocalStack;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>What Core Tools, the host and the worker do between them, in one process.</summary>
internal static class LocalHost
{
    private const string EnvironmentSetting = HostSettings.FunctionsPrefix + "ENVIRONMENT";

    /// <exception cref="LocalHostException">A file, a setting or a service is not as it must be.</exception>
    public static FunctionsApplicationBuilder CreateBuilder(string[] args, LocalHostOptions options)
    {
        var settings = HostSettings.Read(options.BaseDirectory);
        var web = WebApplication.CreateEmptyBuilder(new WebApplicationOptions
        {
            ContentRootPath = options.BaseDirectory,
            EnvironmentName = Environment.GetEnvironmentVariable(EnvironmentSetting) ?? settings.Values.GetValueOrDefault(EnvironmentSetting) ?? "Development",
            ApplicationName = Assembly.GetEntryAssembly()?.GetName().Name,
        });
        AddConfiguration(web.Configuration, settings, args);
        AddLogging(web, settings);
        // In another program, such as the app's tests, the exception is more use than the end.
        var failure = new StartFailure(options.EndsProcess && string.IsNullOrEmpty(web.Configuration["Local:FunctionsAssembly"]));
        KestrelSetup.Configure(web, settings, options, failure);
        failure.Services = StartServices(web.Configuration);
        return new FunctionsApplicationBuilder(web, settings, options, failure);
    }

    /// <exception cref="LocalHostException">A function is not as it must be.</exception>
    public static IHost Build(WebApplicationBuilder web, FunctionsApplicationBuilder app)
    {
        var functions = FunctionTable.Scan(app.Options.FunctionTypes ?? EntryAssembly(web.Configuration).GetTypes());
        web.Services.AddSingleton(functions);
        web.Services.AddSingleton(app.Settings);
        web.Services.AddSingleton(new FunctionInvoker(app.Middleware));
        // Not the core alone: without the regex constraint.
        web.Services.AddRouting();
        web.Services.AddSingleton(services => new HttpRouter(functions.Http, app.Settings.RoutePrefix, services.GetRequiredService<IInlineConstraintResolver>()));
        web.Services.AddSingleton<HttpDispatcher>();
        if (functions.IsDurable)
            DurableSetup.Add(web.Services, DurableOptions.Read(app.Settings, web.Configuration));
        web.Services.AddSingleton(TimerTable.Read(functions, web.Configuration));
        web.Services.AddHostedService<TimerService>();
        if (app.Failure.Services is { } started)
            web.Services.AddSingleton(_ => started);

        var host = web.Build();
        // The container disposes what it made, last what it made first: the app's own services may still need these when they end.
        host.Services.GetService<LocalServices>();
        if (functions.IsDurable)
            host.Map(ManagementApi.Prefix, management => management.Run(host.Services.GetRequiredService<ManagementApi>().HandleAsync));
        host.Run(host.Services.GetRequiredService<HttpDispatcher>().DispatchAsync);
        return host;
    }

    // A program that is not the app, such as its tests, names the app's assembly.
    private static Assembly EntryAssembly(IConfiguration configuration)
    {
        if (configuration["Local:FunctionsAssembly"] is not { Length: > 0 } name)
            return Assembly.GetEntryAssembly()!;
        try
        {
            return Assembly.Load(name);
        }
        catch (Exception exception) when (exception is IOException or BadImageFormatException)
        {
            throw new LocalHostException($"Local:FunctionsAssembly: {name} cannot be loaded.");
        }
    }

    // The order of Core Tools: files, then the environment, then the command line; the later wins.
    private static void AddConfiguration(ConfigurationManager configuration, HostSettings settings, string[] args)
    {
        configuration.AddInMemoryCollection(settings.Values);
        configuration.AddEnvironmentVariables(HostSettings.FunctionsPrefix);
        configuration.AddEnvironmentVariables();
        configuration.AddCommandLine([.. args.Select(WithColons)]);
    }

    // --Local__Port=0 is the same as --Local:Port=0, so that a setting has one spelling for the environment and for the command line.
    private static string WithColons(string argument)
    {
        var end = argument.IndexOf('=', StringComparison.Ordinal);
        if (end < 0 && !argument.StartsWith('-') && !argument.StartsWith('/'))
            return argument;
        var name = end < 0 ? argument : argument[..end];
        return name.Replace("__", ConfigurationPath.KeyDelimiter, StringComparison.Ordinal) + argument[name.Length..];
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

    private static LocalServices? StartServices(ConfigurationManager configuration)
    {
        if (!configuration.GetFlag("Local:Stack", true))
            return null;
        try
        {
            var services = LocalServices.Start(StackOptions.FromConfiguration(configuration), Console.Out.WriteLine);
            configuration.AddInMemoryCollection(services.Settings);
            return services;
        }
        catch (LocalStackException exception)
        {
            throw new LocalHostException(exception.Message);
        }
    }
}
