using System.Globalization;
using System.Reflection;
using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.RateLimits;

/// <summary>Every limit that exists. The setting is <c>RateLimits__&lt;member&gt;</c>, such as <c>RateLimits__AgentxPublish=10/1h</c> or <c>off</c>.</summary>
public enum RateLimitPolicy
{
    /// <summary>agentx, no caller: 60 per minute and address.</summary>
    [PolicyStandard("60/1m", PerAddress = true)]
    AgentxAnonymous,

    /// <summary>agentx, signed in: 120 per minute and user.</summary>
    [PolicyStandard("120/1m")]
    AgentxUser,

    /// <summary>agentx publishes: 10 per hour and user.</summary>
    [PolicyStandard("10/1h")]
    AgentxPublish,

    /// <summary>Hokusai: 1,000 per hour and address without a key; a key has its own number, 1,000 unless said otherwise.</summary>
    [PolicyStandard("1000/1h")]
    HokusaiDefault,

    /// <summary>Hokusai model registration: 20 per minute and key.</summary>
    [PolicyStandard("20/1m")]
    HokusaiRegister,

    /// <summary>Hokusai lineage: 100 per minute and key.</summary>
    [PolicyStandard("100/1m")]
    HokusaiLineage,

    /// <summary>Hokusai contributors' impact: 100 per minute and key.</summary>
    [PolicyStandard("100/1m")]
    HokusaiImpact,

    /// <summary>IndexAgent, Airflow, Evolution: 1,000 per minute and address, each.</summary>
    [PolicyStandard("1000/1m", PerAddress = true)]
    DeanPerAddress,
}

/// <summary>On a policy: the limit unless configured otherwise, and whether it counts addresses whoever the caller is, in each service by itself.</summary>
[AttributeUsage(AttributeTargets.Field)]
public sealed class PolicyStandardAttribute(string limit) : Attribute
{
    /// <summary>Count and window, such as <c>60/1m</c>.</summary>
    public string Limit => limit;

    /// <summary>True: per address; false: per user or key where there is one.</summary>
    public bool PerAddress { get; init; }
}

/// <summary>What the policies' attributes say.</summary>
public static class RateLimitPolicies
{
    private static readonly PolicyStandardAttribute[] s_standards =
        [.. Enum.GetValues<RateLimitPolicy>().Select(policy => typeof(RateLimitPolicy).GetField(policy.ToString())!.GetCustomAttribute<PolicyStandardAttribute>()!)];

    /// <summary>Whether the policy counts addresses whoever the caller is.</summary>
    public static bool IsPerAddress(this RateLimitPolicy policy) => s_standards[(int)policy].PerAddress;

    internal static PolicyStandardAttribute Standard(RateLimitPolicy policy) => s_standards[(int)policy];
}

/// <summary><paramref name="Count"/> calls in any <paramref name="Window"/>; null stands for no limit.</summary>
/// <param name="Name">The policy's name on the wire (<c>RateLimit-Policy</c>), such as <c>agentx-publish</c>.</param>
public sealed record RateLimit(string Name, int Count, TimeSpan Window);

/// <summary>The limits in force: the specs' numbers unless configured.</summary>
public sealed class RateLimitOptions
{
    private readonly RateLimit?[] _limits = new RateLimit?[Enum.GetValues<RateLimitPolicy>().Length];

    private RateLimitOptions(string keyPrefix) => KeyPrefix = keyPrefix;

    /// <summary>
    /// <c>RateLimits__DeanConnections</c>: requests that each of IndexAgent, Airflow and Evolution answers at one time in one process, 100 as spec-dean.md
    /// says; null for <c>off</c>.
    /// </summary>
    public int? DeanConnections { get; private set; } = 100;

    /// <summary><c>RateLimits__KeyPrefix</c>: in front of every Redis key; lets several systems share one Redis.</summary>
    public string KeyPrefix { get; }

    /// <summary>The limit of a policy, or null where it is off.</summary>
    public RateLimit? this[RateLimitPolicy policy] => _limits[(int)policy];

    /// <summary>Reads and checks all settings at once.</summary>
    /// <exception cref="InvalidOperationException">One cannot be parsed, or names no policy; the message lists every wrong one.</exception>
    public static RateLimitOptions FromConfiguration(IConfiguration configuration)
    {
        var section = configuration.GetSection("RateLimits");
        var options = new RateLimitOptions(section["KeyPrefix"] ?? "fr:");
        var wrong = section.GetChildren().Select(child => child.Key)
            .Where(key => key is not ("KeyPrefix" or nameof(DeanConnections)) && !Enum.TryParse<RateLimitPolicy>(key, ignoreCase: true, out _))
            .Select(key => $"RateLimits__{key} is not a policy").ToList();
        foreach (var policy in Enum.GetValues<RateLimitPolicy>())
        {
            // Empty says the same as absent: a deployment can name every setting without repeating the contracts' numbers.
            var text = section[policy.ToString()] is { Length: > 0 } set ? set : RateLimitPolicies.Standard(policy).Limit;
            if (TryParse(WireName(policy), text, out var limit))
                options._limits[(int)policy] = limit;
            else
                wrong.Add($"RateLimits__{policy}={text} is not like 10/1h (count/window in s, m, h or d) or off");
        }
        if (section[nameof(DeanConnections)] is { Length: > 0 } connections)
        {
            options.DeanConnections = int.TryParse(connections, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= 100_000 ? count : null;
            if (options.DeanConnections is null && !connections.Equals("off", StringComparison.OrdinalIgnoreCase))
                wrong.Add($"RateLimits__{nameof(DeanConnections)}={connections} is not a number from 1 to 100000 or off");
        }
        return wrong.Count == 0 ? options : throw new InvalidOperationException(string.Join("; ", wrong));
    }

    /// <summary><c>10/1h</c>, <c>60/30s</c>, <c>5/m</c> or <c>off</c> (null).</summary>
    public static bool TryParse(string name, string text, out RateLimit? limit)
    {
        limit = null;
        if (text.Equals("off", StringComparison.OrdinalIgnoreCase))
            return true;
        var parts = text.Split('/');
        if (parts.Length != 2 || parts[1].Length == 0 || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var count))
            return false;
        var amountText = parts[1][..^1];
        var amount = 1;
        if (amountText.Length > 0 && !int.TryParse(amountText, NumberStyles.None, CultureInfo.InvariantCulture, out amount))
            return false;
        var unit = char.ToLowerInvariant(parts[1][^1]) switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => 0 };
        if (count is < 1 or > 1_000_000 || amount is < 1 or > 100_000 || unit == 0)
            return false;
        limit = new RateLimit(name, count, TimeSpan.FromSeconds((long)amount * unit));
        return true;
    }

    private static string WireName(RateLimitPolicy policy) =>
        string.Concat(policy.ToString().Select((c, i) => char.IsUpper(c) && i > 0 ? "-" + char.ToLowerInvariant(c) : char.ToLowerInvariant(c).ToString()));
}

/// <summary>What a limiter said about one call.</summary>
/// <param name="Remaining">Calls left in the window after this one.</param>
/// <param name="ResetAfter">Until the oldest counted call leaves the window: when refused, how long to wait.</param>
public readonly record struct RateLimitDecision(bool Accepted, RateLimit Limit, int Remaining, TimeSpan ResetAfter);
