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
        if (SearchQuery.ToTsQuery(text) is { } words
            && await lists.SearchAsync(words, sort, category, offset, limit, cancellationToken) is { Total: > 0 } found)
            return found;
        if (SearchQuery.ToBeginning(text) is { } beginning
            && await lists.ListWordsAsync(beginning, cancellationToken) is { Count: > 0 } completions
            && await lists.SearchAsync(SearchQuery.ToTsQuery(text, completions), sort, category, offset, limit, cancellationToken) is { Total: > 0 } completed)
            return completed;
        return await lists.SearchSimilarAsync(text, category, offset, limit, cancellationToken);
    }
}
