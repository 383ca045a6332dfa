using System.Text.Json.Nodes;
using FunctionsRegistry.Errors;
using FunctionsRegistry.IndexAgent;

namespace FunctionsRegistry.Airflow.Operators;

/// <summary>
/// Indexes a <c>repository</c>: from <c>url</c>, or anew from its last archive; one that is being indexed is waited for. Output: <c>{repository, files,
/// lines}</c>.
/// </summary>
public sealed class IndexRepositoryOperator(IndexService index, RepositoryStore repositories, PatternService patterns, TimeProvider time) : IOperator
{
    private static readonly TimeSpan s_lookEvery = TimeSpan.FromSeconds(1);

    /// <inheritdoc/>
    public string Name => "repository.index";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } =
        [new("repository", true, ParameterChecks.Text), new("url", false, ParameterChecks.Optional(ParameterChecks.Text))];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var name = attempt.Params["repository"]!.GetValue<string>();
        try
        {
            var generation = attempt.Params["url"]?.GetValue<string>() is { } url
                ? await index.ReceiveUrlAsync(name, url, cancellationToken)
                : await index.ReceiveAgainAsync(name, cancellationToken);
            await IndexAsync(generation, cancellationToken);
        }
        catch (RegistryException busy) when (busy.Kind == ErrorKind.Conflict)
        {
            // Perhaps by this try's own execution before a crash; the sweeper goes on with it.
            attempt.Log.Write("It is being indexed already.");
        }
        catch (RegistryException refused)
        {
            throw new OperatorException(refused.Message);
        }
        var found = await repositories.FindAsync(name, cancellationToken);
        for (; found?.State == "indexing"; found = await repositories.FindAsync(name, cancellationToken))
            await Task.Delay(s_lookEvery, time, cancellationToken);
        if (found is not { State: "ready" })
            throw new OperatorException(found?.Error ?? $"the repository '{name}' was deleted");
        attempt.Log.Write($"{found.Files} files.");
        return new OperatorResult(new JsonObject { ["repository"] = name, ["files"] = found.Files, ["lines"] = found.Lines });
    }

    private async Task IndexAsync(long generation, CancellationToken cancellationToken)
    {
        try
        {
            await index.IndexAsync(generation, cancellationToken);
        }
        catch (RegistryException refused)
        {
            // As the repository's own orchestration would: the upload can be repeated.
            await index.FailAsync(generation, refused.Message, cancellationToken);
            return;
        }
        await patterns.MineAsync(generation, cancellationToken);
    }
}

/// <summary>Parameters and reading of the operators on patterns.</summary>
internal static class PatternParameters
{
    public const int Most = 500;

    public static readonly OperatorParameter Repositories = new("repositories", false, ParameterChecks.Optional(ParameterChecks.Texts));

    public static readonly OperatorParameter MinConfidence = new("min_confidence", false, ParameterChecks.Optional(ParameterChecks.Number(0, 1)));

    public static IReadOnlyList<string> Texts(JsonObject parameters, string name) =>
        parameters[name] is JsonArray items ? [.. items.Select(item => item!.GetValue<string>())] : [];

    /// <summary>The most certain patterns of some repositories; of all where none is named.</summary>
    public static async Task<List<PatternResponse>> ListAsync(PatternService patterns, JsonObject parameters, CancellationToken cancellationToken)
    {
        var wanted = Texts(parameters, "repositories");
        var (found, _) = await patterns.ListAsync(null, EvolutionParameters.Number(parameters, "min_confidence", 0), Most, 0, cancellationToken);
        return [.. found.Where(pattern => wanted.Count == 0 || pattern.Repositories.Any(wanted.Contains))];
    }

    public static JsonArray Ids(IEnumerable<string> ids) => new([.. ids.Select(id => (JsonNode)JsonValue.Create(id)!)]);
}

/// <summary>Mines the patterns of <c>repositories</c>; of all that were uploaded where none is named. Output: <c>{repositories, patterns}</c>, the last a count.</summary>
public sealed class ExtractPatternsOperator(PatternService patterns, RepositoryStore repositories, SearchStore store) : IOperator
{
    /// <inheritdoc/>
    public string Name => "patterns.extract";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } = [PatternParameters.Repositories];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var names = PatternParameters.Texts(attempt.Params, "repositories");
        if (names.Count == 0)
            names = await repositories.ListNamesAsync(cancellationToken);
        foreach (var name in names)
        {
            var generation = await store.FindGenerationAsync(name, cancellationToken) ?? throw new OperatorException($"the repository '{name}' is not indexed");
            await patterns.MineAsync(generation, cancellationToken);
            attempt.Log.Write($"{name}: mined.");
        }
        var found = names.Count == 0 ? [] : await PatternParameters.ListAsync(patterns, new JsonObject { ["repositories"] = PatternParameters.Ids(names) }, cancellationToken);
        attempt.Log.Write($"{found.Count} patterns.");
        return new OperatorResult(new JsonObject { ["repositories"] = PatternParameters.Ids(names), ["patterns"] = found.Count });
    }
}

/// <summary>
/// Finds the patterns that are certain enough to hand on: at least <c>min_confidence</c> (0.7), and seen more than once. Output: <c>{patterns, rejected}</c>,
/// ids and a count.
/// </summary>
public sealed class ValidatePatternsOperator(PatternService patterns) : IOperator
{
    /// <inheritdoc/>
    public string Name => "patterns.validate";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } = [PatternParameters.Repositories, PatternParameters.MinConfidence];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var least = EvolutionParameters.Number(attempt.Params, "min_confidence", 0.7);
        var parameters = new JsonObject { ["repositories"] = attempt.Params["repositories"]?.DeepClone() };
        var all = await PatternParameters.ListAsync(patterns, parameters, cancellationToken);
        var valid = all.Where(pattern => pattern.Confidence >= least && pattern.Occurrences > 1).Select(pattern => pattern.Id).ToList();
        attempt.Log.Write($"{valid.Count} of {all.Count} patterns are valid.");
        return new OperatorResult(new JsonObject { ["patterns"] = PatternParameters.Ids(valid), ["rejected"] = all.Count - valid.Count });
    }
}

/// <summary>Gives <c>patterns</c> (ids) to all active search agents. Output: <c>{patterns, agents}</c>: how many, and how many times an agent took one that it had not.</summary>
public sealed class PropagatePatternsOperator(PatternService patterns) : IOperator
{
    /// <inheritdoc/>
    public string Name => "patterns.propagate";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } = [new("patterns", true, ParameterChecks.Texts)];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var (applied, agents) = (0, 0);
        foreach (var id in PatternParameters.Texts(attempt.Params, "patterns"))
        {
            try
            {
                agents += await patterns.ApplyAsync(id, null, cancellationToken);
                applied++;
            }
            catch (RegistryException gone) when (gone.Kind == ErrorKind.NotFound)
            {
                attempt.Log.Write($"{id} is gone.");
            }
        }
        attempt.Log.Write($"{applied} patterns, taken {agents} times.");
        return new OperatorResult(new JsonObject { ["patterns"] = applied, ["agents"] = agents });
    }
}

/// <summary>Sums up what patterns <c>repositories</c> have. Output: <c>{total, types, best}</c>: counts, and the most certain ones.</summary>
public sealed class ReportPatternsOperator(PatternService patterns) : IOperator
{
    private const int Shown = 10;

    /// <inheritdoc/>
    public string Name => "patterns.report";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } = [PatternParameters.Repositories, PatternParameters.MinConfidence];

    /// <inheritdoc/>
    public async Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var found = await PatternParameters.ListAsync(patterns, attempt.Params, cancellationToken);
        var types = new JsonObject();
        foreach (var type in found.GroupBy(pattern => pattern.Type).OrderBy(group => group.Key, StringComparer.Ordinal))
            types[type.Key] = type.Count();
        var best = new JsonArray();
        foreach (var pattern in found.Take(Shown))
        {
            attempt.Log.Write($"{pattern.Id} ({pattern.Type}, {pattern.Confidence}): {pattern.Description}");
            best.Add(new JsonObject { ["id"] = pattern.Id, ["type"] = pattern.Type, ["confidence"] = pattern.Confidence, ["occurrences"] = pattern.Occurrences });
        }
        return new OperatorResult(new JsonObject { ["total"] = found.Count, ["types"] = types, ["best"] = best });
    }
}
