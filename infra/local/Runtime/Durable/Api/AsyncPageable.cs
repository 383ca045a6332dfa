namespace FunctionsRegistry.LocalRuntime;

/// <summary>A part of a list.</summary>
/// <param name="values">Its items.</param>
/// <param name="continuationToken">Leads to the next part; null at the end.</param>
public sealed class Page<T>(IReadOnlyList<T> values, string? continuationToken = null)
{
    /// <summary>Its items.</summary>
    public IReadOnlyList<T> Values { get; } = values;

    /// <summary>Leads to the next part; null at the end.</summary>
    public string? ContinuationToken { get; } = continuationToken;
}

/// <summary>A list that is read part by part while it is enumerated.</summary>
public abstract class AsyncPageable<T> : IAsyncEnumerable<T>
{
    /// <summary>Its parts.</summary>
    /// <param name="continuationToken">Where to go on; at the beginning when null.</param>
    /// <param name="pageSizeHint">How many items a part should have.</param>
    public abstract IAsyncEnumerable<Page<T>> AsPages(string? continuationToken = null, int? pageSizeHint = null);

    /// <inheritdoc/>
    public async IAsyncEnumerator<T> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        await foreach (var page in AsPages().WithCancellation(cancellationToken))
            foreach (var value in page.Values)
                yield return value;
    }
}
