using FunctionsRegistry.LocalRuntime.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.Metrics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace FunctionsRegistry.LocalRuntime;

/// <summary>Where an app begins.</summary>
public class FunctionsApplication
{
    /// <summary>
    /// Reads host.json, local.settings.json, the environment and the command line, and starts the services that are not configured. Ends the
    /// process with one line where that fails: nothing of the app could run.
    /// </summary>
    public static FunctionsApplicationBuilder CreateBuilder(string[] args)
    {
        var options = new LocalHostOptions { EndsProcess = true };
        return new StartFailure(options.EndsProcess).Guard(() => LocalHost.CreateBuilder(args, options));
    }
}

/// <summary>Builds the host: services, configuration, middleware.</summary>
public class FunctionsApplicationBuilder : IFunctionsWorkerApplicationBuilder, IHostApplicationBuilder
{
    private readonly WebApplicationBuilder _web;

    internal FunctionsApplicationBuilder(WebApplicationBuilder web, HostSettings settings, LocalHostOptions options, StartFailure failure) =>
        (_web, Settings, Options, Failure) = (web, settings, options, failure);

    internal List<Func<FunctionExecutionDelegate, FunctionExecutionDelegate>> Middleware { get; } = [];

    internal HostSettings Settings { get; }

    internal LocalHostOptions Options { get; }

    internal StartFailure Failure { get; }

    /// <inheritdoc/>
    public IServiceCollection Services => _web.Services;

    /// <summary>All settings.</summary>
    public ConfigurationManager Configuration => _web.Configuration;

    /// <inheritdoc/>
    public IHostEnvironment Environment => _web.Environment;

    /// <inheritdoc/>
    public ILoggingBuilder Logging => _web.Logging;

    /// <inheritdoc/>
    public IMetricsBuilder Metrics => _web.Metrics;

    /// <inheritdoc/>
    public IDictionary<object, object> Properties => ((IHostApplicationBuilder)_web).Properties;

    IConfigurationManager IHostApplicationBuilder.Configuration => _web.Configuration;

    /// <inheritdoc/>
    public void ConfigureContainer<TContainerBuilder>(IServiceProviderFactory<TContainerBuilder> factory, Action<TContainerBuilder>? configure = null)
        where TContainerBuilder : notnull => ((IHostApplicationBuilder)_web).ConfigureContainer(factory, configure);

    /// <inheritdoc/>
    public IFunctionsWorkerApplicationBuilder Use(Func<FunctionExecutionDelegate, FunctionExecutionDelegate> middleware)
    {
        Middleware.Add(middleware);
        return this;
    }

    /// <summary>Finds the functions and makes the host.</summary>
    public IHost Build() => Failure.Guard(() => LocalHost.Build(_web, this));
}

/// <summary>Functions that speak ASP.NET Core.</summary>
public static class FunctionsApplicationBuilderAspNetCoreExtensions
{
    /// <summary>Adds what MVC's results need to run; in Azure also the middleware that proxies HTTP.</summary>
    public static FunctionsApplicationBuilder ConfigureFunctionsWebApplication(this FunctionsApplicationBuilder builder)
    {
        builder.Services.AddMvcCore();
        return builder;
    }
}
