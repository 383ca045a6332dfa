using FunctionsRegistry.Errors;
using FunctionsRegistry.RateLimits;

namespace FunctionsRegistry.Functions.Http;

/// <summary>
/// spec-dean.md, "Rate Limiting": 100 concurrent connections per service. A function sees requests, not connections, so those that are being answered count,
/// streams of events until their end; WebSockets have a limit of their own.
/// </summary>
public sealed class ConnectionLimit(RateLimitOptions options, HttpMetrics metrics)
{
    private readonly int[] _open = new int[Enum.GetValues<Family>().Length];

    /// <summary>Takes a place of the service; whoever got one leaves.</summary>
    /// <returns>False where nothing is limited, and there is nothing to leave.</returns>
    /// <exception cref="RegistryException">429: no place is free.</exception>
    public bool Enter(Family family, FunctionRules rules)
    {
        if (family is not (Family.IndexAgent or Family.Airflow or Family.Evolution) || rules.IsUnlimited || options.DeanConnections is not { } limit)
            return false;
        var accepted = Interlocked.Increment(ref _open[(int)family]) <= limit;
        metrics.CountLimit("dean-connections", accepted);
        if (accepted)
            return true;
        Leave(family);
        throw CommonErrors.TooManyConnections();
    }

    /// <summary>Gives the place back.</summary>
    public void Leave(Family family) => Interlocked.Decrement(ref _open[(int)family]);
}
