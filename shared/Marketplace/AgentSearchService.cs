namespace FunctionsRegistry.Marketplace;

/// <summary>Search for agents: full text first; where nothing matches, names that look alike.</summary>
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
        var found = SearchQuery.ToTsQuery(text) is { } query
            ? await lists.SearchAsync(query, sort, category, offset, limit, cancellationToken)
            : null;
        return found is { Total: > 0 } ? found : await lists.SearchSimilarAsync(text, category, offset, limit, cancellationToken);
    }
}
