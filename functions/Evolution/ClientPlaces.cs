using System.Runtime.InteropServices;
using FunctionsRegistry.Evolution;

namespace FunctionsRegistry.Functions.Evolution;

/// <summary>How many WebSockets and streams of events each address has open: <c>Evolution__SocketsPerClient</c> at most.</summary>
public sealed class ClientPlaces(EvolutionOptions options)
{
    private readonly Dictionary<string, int> _taken = [];
    private readonly Lock _lock = new();

    /// <summary>Takes a place; whoever got one returns it.</summary>
    public bool TryTake(string address)
    {
        lock (_lock)
        {
            ref var count = ref CollectionsMarshal.GetValueRefOrAddDefault(_taken, address, out _);
            if (count == options.SocketsPerClient)
                return false;
            count++;
            return true;
        }
    }

    /// <summary>Gives a place back.</summary>
    public void Return(string address)
    {
        lock (_lock)
            if (--CollectionsMarshal.GetValueRefOrNullRef(_taken, address) == 0)
                _taken.Remove(address);
    }
}
