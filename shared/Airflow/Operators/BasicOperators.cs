using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.Airflow.Operators;

/// <summary>Gives its <c>value</c> as output.</summary>
public sealed class EchoOperator : IOperator
{
    /// <inheritdoc/>
    public string Name => "echo";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } = [new("value", false, ParameterChecks.Any)];

    /// <inheritdoc/>
    public Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var value = attempt.Params["value"];
        attempt.Log.Write(TemplateText.Write(value));
        return Task.FromResult(new OperatorResult(value?.DeepClone()));
    }
}

/// <summary>Fails with <c>message</c>; with <c>when</c>, only where that is true, a number other than 0, or a text, list or mapping that is not empty.</summary>
public sealed class FailOperator : IOperator
{
    /// <inheritdoc/>
    public string Name => "fail";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } = [new("message", true, ParameterChecks.Text), new("when", false, ParameterChecks.Any)];

    /// <inheritdoc/>
    public Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        if (!attempt.Params.TryGetPropertyValue("when", out var when) || IsTrue(when))
            throw new OperatorException(attempt.Params["message"]!.GetValue<string>());
        attempt.Log.Write("Nothing to fail for.");
        return Task.FromResult(new OperatorResult(null));
    }

    private static bool IsTrue(JsonNode? value) => value switch
    {
        null => false,
        JsonArray items => items.Count > 0,
        JsonObject members => members.Count > 0,
        _ => value.GetValueKind() switch
        {
            JsonValueKind.True => true,
            JsonValueKind.Number => !ParameterChecks.TryNumber(value, out var number) || number != 0,
            JsonValueKind.String => value.GetValue<string>() is not ("" or "false" or "0"),
            _ => false,
        },
    };
}

/// <summary>Ends after <c>seconds</c>; no worker is held meanwhile.</summary>
public sealed class WaitOperator : IOperator
{
    /// <inheritdoc/>
    public string Name => "wait";

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } = [new("seconds", true, ParameterChecks.Number(0, 30 * 86_400))];

    /// <inheritdoc/>
    public Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        ParameterChecks.TryNumber(attempt.Params["seconds"], out var seconds);
        attempt.Log.Write($"Waiting for {seconds} s.");
        return Task.FromResult(new OperatorResult(null, Wait: TimeSpan.FromSeconds(seconds)));
    }
}

/// <summary>
/// Chooses which of the tasks directly after it run: those that <c>cases</c> (value to task id or list of ids) names for <c>value</c>, else
/// <c>default</c>; neither: none. The others are skipped.
/// </summary>
public sealed class BranchOperator : IOperator
{
    /// <summary>The name in DAG files.</summary>
    public const string OperatorName = "branch";

    /// <inheritdoc/>
    public string Name => OperatorName;

    /// <inheritdoc/>
    public IReadOnlyList<OperatorParameter> Parameters { get; } =
    [
        new("value", true, ParameterChecks.Any),
        new("cases", true, node => node is JsonObject cases && cases.All(one => TryIds(one.Value, out _)) ? null : "must map values to task ids"),
        new("default", false, node => TryIds(node, out _) ? null : "must be a task id or a list of task ids"),
    ];

    /// <inheritdoc/>
    public Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken)
    {
        var value = TemplateText.Write(attempt.Params["value"]);
        var chosen = attempt.Params["cases"]!.AsObject().TryGetPropertyValue(value, out var ids) ? ids : attempt.Params["default"];
        TryIds(chosen, out var tasks);
        attempt.Log.Write($"'{value}' leads to {(tasks.Count == 0 ? "nothing" : string.Join(", ", tasks))}.");
        return Task.FromResult(new OperatorResult(new JsonArray([.. tasks.Select(id => JsonValue.Create(id))]), tasks));
    }

    /// <inheritdoc/>
    public IEnumerable<string> Check(TaskDefinition task, IReadOnlyList<TaskDefinition> tasks)
    {
        var after = tasks.Where(other => other.Needs.Contains(task.Id)).Select(other => other.Id).ToHashSet();
        var named = (task.Params["cases"] as JsonObject ?? []).Select(one => one.Value).Append(task.Params["default"]);
        foreach (var node in named)
            if (TryIds(node, out var ids))
                foreach (var id in ids.Where(id => !after.Contains(id)))
                    yield return $"chooses '{id}', which is not a task directly after it";
    }

    private static bool TryIds(JsonNode? node, out IReadOnlyList<string> ids)
    {
        ids = node switch
        {
            JsonArray items => [.. items.Select(item => item?.GetValueKind() == JsonValueKind.String ? item.GetValue<string>() : "")],
            JsonValue value when value.GetValueKind() == JsonValueKind.String => [value.GetValue<string>()],
            _ => [],
        };
        return node is null or JsonArray or JsonValue && !ids.Contains("") && (node is not JsonValue || ids.Count == 1);
    }
}
