using System.Diagnostics;
using System.Reflection;
using System.Text.RegularExpressions;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Evolution;
using FunctionsRegistry.Functions;
using FunctionsRegistry.Marketplace;
using FunctionsRegistry.Postgres;
using FunctionsRegistry.RateLimits;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace FunctionsRegistry.Tests.Azure;

/// <summary>
/// The settings in modules/app-settings.bicep against those that the app reads. What it reads is not listed anywhere: the app is composed with a
/// configuration that writes down every name that code of `shared` and `functions` asks for, and the literals in their source are added.
/// </summary>
public sealed partial class SettingsTests(BicepFiles files)
{
    // Settings that the deployment leaves out on purpose.
    private static readonly Dictionary<string, string> s_leftOut = new()
    {
        ["DATABASE_URL"] = "POSTGRES_* say the same without a password",
        ["POSTGRES_PASSWORD"] = "tokens are the password",
        ["BLOB_CONNECTION"] = "the identity is used with BLOB_SERVICE_URI",
        ["AzureWebJobsStorage"] = "the identity is used with AzureWebJobsStorage__accountName",
        ["AzureWebJobsStorage__blobServiceUri"] = "AzureWebJobsStorage__accountName says it for blobs, queues and tables",
    };

    // Read by others than the app: modules/app-settings.bicep has them in groups of their own.
    private static readonly string[] s_groupsOfOthers = ["host", "scheduler"];

    [Fact]
    public void The_deployment_sets_all_settings_that_the_app_reads_and_no_others()
    {
        var read = ReadByTheApp();
        var groups = Groups();
        var set = groups.SelectMany(group => group.Value.Keys).ToHashSet();

        read.Count.ShouldBeGreaterThan(25);
        read.Except(set).Except(s_leftOut.Keys).Order().ShouldBeEmpty("read by the app, but not in modules/app-settings.bicep");
        // A group is named as the slice that reads it. A slice that is not part of the app yet may have its settings there already.
        var known = groups.Where(group => group.Key == "platform" || Directory.Exists(Path.Combine(BicepFiles.Repository, "shared", Slice(group.Key))))
            .SelectMany(group => group.Value.Keys);
        known.Except(read).Order().ShouldBeEmpty("in modules/app-settings.bicep, but read by nobody");
        s_leftOut.Keys.Intersect(set).ShouldBeEmpty();
        s_leftOut.Keys.Except(read).ShouldBeEmpty("left out on purpose, but nobody would read them");
    }

    [Fact]
    public void No_setting_is_in_two_groups()
    {
        var names = Groups(withOthers: true).SelectMany(group => group.Value.Keys).ToList();

        names.GroupBy(name => name, StringComparer.OrdinalIgnoreCase).Where(group => group.Count() > 1).Select(group => group.Key).ShouldBeEmpty();
    }

    [Fact]
    public void The_app_accepts_the_values_of_the_deployment()
    {
        var values = Groups().SelectMany(group => group.Value).Where(pair => pair.Value.StringValue is not null)
            .ToDictionary(pair => Key(pair.Key), pair => pair.Value.StringValue);
        values.Count.ShouldBeGreaterThan(15);
        // A name and an address stand for what only a deployment knows.
        values["POSTGRES_HOST"] = "db.example";
        values["POSTGRES_USER"] = "id-app";
        values["POSTGRES_DB"] = "registry";
        values["REDIS_CONNECTION"] = "redis.example:10000,ssl=true";
        values["BLOB_SERVICE_URI"] = "https://blobs.example/";
        values["Http:TrustedProxies"] = "147.243.0.0/16,2a01:111:2050::/44";
        values["InternalApiKey"] = "0123456789abcdef0123456789abcdef";
        values["AIRFLOW_PASSWORD"] = "0123456789abcdef0123456789abcdef";

        using var host = Compose(values, new Recorder());
        var database = host.Services.GetRequiredService<DatabaseOptions>();
        database.UsesEntra.ShouldBeTrue();
        database.MigrateAtStart.ShouldBeFalse();
        StartupChecks.Refuse(host.Services.GetRequiredService<IConfiguration>(), database, host.Services.GetRequiredService<RedisOptions>());
    }

    [Fact]
    public void What_the_deployment_calls_defaults_are_the_defaults()
    {
        string[] sections = ["RateLimits__", "Marketplace__", "Blobs__", "Evolution__"];
        using var plain = Compose(Start(), new Recorder());
        var same = Start();
        foreach (var (name, value) in Groups().SelectMany(group => group.Value))
            if (sections.Any(section => name.StartsWith(section, StringComparison.Ordinal)))
                same[Key(name)] = value.StringValue;
        using var deployed = Compose(same, new Recorder());

        deployed.Services.GetRequiredService<MarketplaceOptions>().ShouldBe(plain.Services.GetRequiredService<MarketplaceOptions>());
        deployed.Services.GetRequiredService<BlobOptions>().ShouldBe(plain.Services.GetRequiredService<BlobOptions>());
        deployed.Services.GetRequiredService<EvolutionOptions>().ShouldBe(plain.Services.GetRequiredService<EvolutionOptions>());
        var limits = deployed.Services.GetRequiredService<RateLimitOptions>();
        var standard = plain.Services.GetRequiredService<RateLimitOptions>();
        foreach (var policy in Enum.GetValues<RateLimitPolicy>())
            limits[policy].ShouldBe(standard[policy]);
        limits.DeanConnections.ShouldBe(standard.DeanConnections);
        limits.KeyPrefix.ShouldBe(standard.KeyPrefix);
    }

    private static HashSet<string> ReadByTheApp()
    {
        var recorder = new Recorder();
        using (var host = Compose(Start(), recorder))
        {
            // Some classes read when they are made.
            foreach (var type in recorder.Services!.Where(IsOurs).Select(service => service.ServiceType).Distinct())
                _ = host.Services.GetServices(type).Count();
        }
        var read = recorder.Keys.Select(Name).ToHashSet();
        // And some only when they are needed: their names stand in the source.
        foreach (var folder in (string[])["shared", "functions"])
            foreach (var file in Directory.EnumerateFiles(Path.Combine(BicepFiles.Repository, folder), "*.cs", SearchOption.AllDirectories))
                if (!file.Split(Path.DirectorySeparatorChar).Intersect(["obj", "bin"]).Any())
                    read.UnionWith(Literal().Matches(File.ReadAllText(file)).Select(match => Name(match.Groups[1].Value))
                        .Where(name => !name.EndsWith("__", StringComparison.Ordinal)));
        return read;
    }

    private static bool IsOurs(ServiceDescriptor service) => service is { IsKeyedService: false, ServiceType.ContainsGenericParameters: false }
        && (service.ServiceType.Assembly == typeof(RegistryServices).Assembly || service.ServiceType.Assembly == typeof(DatabaseOptions).Assembly);

    // The least that the app composes itself with.
    private static Dictionary<string, string?> Start() => new()
    {
        ["POSTGRES_HOST"] = "127.0.0.1",
        ["REDIS_CONNECTION"] = "127.0.0.1:1",
        ["BLOB_CONNECTION"] = "UseDevelopmentStorage=true",
    };

    private static IHost Compose(Dictionary<string, string?> settings, Recorder recorder)
    {
        var builder = FunctionsRegistry.LocalRuntime.FunctionsApplication.CreateBuilder(
            ["--Local:FunctionsAssembly=FunctionsRegistry.Functions", "--Local:Stack=false", "--Local:Port=0", "--Local:ContractPorts=false"]);
        builder.Configuration.AddInMemoryCollection(settings);
        builder.Configuration.Sources.Add(recorder);
        FunctionsRegistry.LocalRuntime.FunctionsApplicationBuilderAspNetCoreExtensions.ConfigureFunctionsWebApplication(builder);
        builder.AddRegistry();
        recorder.Services = [.. builder.Services];
        return builder.Build();
    }

    private Dictionary<string, Dictionary<string, BicepNode>> Groups(bool withOthers = false) => files["modules/app-settings.bicep"].Variables
        .Where(variable => variable.Name != "secrets" && (withOthers || !s_groupsOfOthers.Contains(variable.Name)))
        .ToDictionary(variable => variable.Name, variable => variable.Value!.All().Where(node => node.Type == "object").SelectMany(node => node.Properties())
            .ToDictionary(pair => pair.Name, pair => pair.Value));

    private static string Slice(string group) => char.ToUpperInvariant(group[0]) + group[1..];

    private static string Name(string key) => key.Replace(":", "__", StringComparison.Ordinal);

    private static string Key(string name) => name.Replace("__", ":", StringComparison.Ordinal);

    [GeneratedRegex(@"onfiguration(?:\[|\.GetValue(?:<[^>]*>)?\()""([A-Za-z0-9_:]+)""")]
    private static partial Regex Literal();

    /// <summary>The last source, so the first one that is asked: it has nothing and writes down who asks for what.</summary>
    private sealed class Recorder : ConfigurationProvider, IConfigurationSource
    {
        public HashSet<string> Keys { get; } = new(StringComparer.OrdinalIgnoreCase);

        public IReadOnlyList<ServiceDescriptor>? Services { get; set; }

        public IConfigurationProvider Build(IConfigurationBuilder builder) => this;

        public override bool TryGet(string key, out string? value)
        {
            value = null;
            var reader = new StackTrace(1).GetFrames().Select(frame => frame.GetMethod()?.DeclaringType?.Assembly).OfType<Assembly>()
                .FirstOrDefault(assembly => !assembly.GetName().Name!.StartsWith("Microsoft.Extensions.Configuration", StringComparison.Ordinal));
            if (reader == typeof(RegistryServices).Assembly || reader == typeof(DatabaseOptions).Assembly)
                lock (Keys)
                    Keys.Add(key);
            return false;
        }
    }
}
