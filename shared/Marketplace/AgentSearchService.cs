namespace FunctionsRegistry.Marketplace;

/// <summary>Search for agents: whole words first; where they find nothing, the last as a beginning; then names that look alike.</summary>
public sealed class AgentSearchService(AgentListStore lists)
{
    /// <summary>One page.</summary>
    /// <exception cref="Errors.RegistryException">400: deeper than relevance is ranked.</exception>
    public async Task<AgentPage> SearchAsync(string text, AgentSort sort, string? category, int offset, int limit, CancellationToken cancellationToken)
    {
        if (sort == AgentSort.Relevance)
            limit = offset < AgentListStore.MaxRanked
                ? Math.Min(limit, AgentListStore.MaxRanked - offset)
                : throw MarketplaceErrors.RelevanceTooDeep(AgentListStore.MaxRanked);
        // A beginning only where the whole words find nothing: the index gathers every term that begins so, which takes long for a frequent one.
        foreach (var lastIsPrefix in (bool[])[false, true])
            if (SearchQuery.ToTsQuery(text, lastIsPrefix) is { } query
                && await lists.SearchAsync(query, sort, category, offset, limit, cancellationToken) is { Total: > 0 } found)
                return found;
        return await lists.SearchSimilarAsync(text, category, offset, limit, cancellationToken);
    }
}
