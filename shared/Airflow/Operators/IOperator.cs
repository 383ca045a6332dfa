using System.Text.Json;
using System.Text.Json.Nodes;

namespace FunctionsRegistry.Airflow.Operators;

/// <summary>What tasks can do. One instance serves all tasks; a try may be executed again after a crash, so effects should bear repetition.</summary>
public interface IOperator
{
    /// <summary>The name in DAG files.</summary>
    string Name { get; }

    /// <summary>Its parameters; others are refused.</summary>
    IReadOnlyList<OperatorParameter> Parameters { get; }

    /// <summary>Executes one try.</summary>
    /// <exception cref="OperatorException">The task's work cannot be done; the message is for the task's log.</exception>
    Task<OperatorResult> RunAsync(OperatorCall attempt, CancellationToken cancellationToken);

    /// <summary>Ends a try whose result was to wait, when what it waited for has come; another wait goes on.</summary>
    /// <param name="output">Of the result so far.</param>
    /// <exception cref="OperatorException">The task's work could not be done.</exception>
    Task<OperatorResult> ResumeAsync(JsonNode? output, TaskLog log, CancellationToken cancellationToken) => Task.FromResult(new OperatorResult(null));

    /// <summary>What is wrong with a task beyond its single parameters, found when its file is read.</summary>
    IEnumerable<string> Check(TaskDefinition task, IReadOnlyList<TaskDefinition> tasks) => [];
}

/// <summary>One parameter.</summary>
/// <param name="Check">What is wrong with a value, or null; applied to literals when the file is read, and to filled templates before a try.</param>
public sealed record OperatorParameter(string Name, bool Required, Func<JsonNode?, string?> Check);

/// <summary>One try: the filled parameters, and where its words go.</summary>
/// <param name="Id">The same for every execution of one try, such as <c>17-fetch-1</c>.</param>
public sealed record OperatorCall(string Id, JsonObject Params, TaskLog Log);

/// <summary>How a try ended.</summary>
/// <param name="Output">What <c>${tasks.id.output}</c> gives to later tasks.</param>
/// <param name="Chosen">Of a branch: the tasks that may run.</param>
/// <param name="Wait">The task ends after this time, without holding a worker.</param>
/// <param name="TrialId">The task ends with this trial, which runs as a sub-orchestration; the output has it as <c>trial_id</c>, too.</param>
public sealed record OperatorResult(JsonNode? Output, IReadOnlyList<string>? Chosen = null, TimeSpan? Wait = null, string? TrialId = null);

/// <summary>A try that failed, for a reason that its DAG's owner should read.</summary>
public sealed class OperatorException(string message) : Exception(message);

/// <summary>The log of one try; lines beyond 64 k characters are dropped.</summary>
public sealed class TaskLog(TimeProvider time)
{
    private const int MaxCharacters = 64 << 10;
    private readonly System.Text.StringBuilder _text = new();

    /// <summary>Adds a line with the time.</summary>
    public void Write(string line)
    {
        lock (_text)
        {
            // PostgreSQL's text holds everything but NUL and lone surrogates.
            if (_text.Length + line.Length < MaxCharacters)
                _text.Append('[').Append(time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ss.fffZ")).Append("] ").Append(Clean(line)).Append('\n');
        }
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        lock (_text)
            return _text.ToString();
    }

    private static string Clean(string line) =>
        System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(line)).Replace("\0", "", StringComparison.Ordinal);
}

/// <summary>Checks of parameter values.</summary>
public static class ParameterChecks
{
    /// <summary>Anything.</summary>
    public static string? Any(JsonNode? node) => null;

    /// <summary>A text.</summary>
    public static string? Text(JsonNode? node) => node?.GetValueKind() == JsonValueKind.String ? null : "must be a text";

    /// <summary>Texts.</summary>
    public static string? Texts(JsonNode? node) =>
        node is JsonArray items && items.All(item => item?.GetValueKind() == JsonValueKind.String) ? null : "must be a list of texts";

    /// <summary>Nothing, or what passes another check.</summary>
    public static Func<JsonNode?, string?> Optional(Func<JsonNode?, string?> check) => node => node is null ? null : check(node);

    /// <summary>A mapping.</summary>
    public static string? Mapping(JsonNode? node) => node is JsonObject ? null : "must be a mapping";

    /// <summary>A number in a range.</summary>
    public static Func<JsonNode?, string?> Number(double min, double max) =>
        node => TryNumber(node, out var value) && value >= min && value <= max ? null : $"must be a number from {min} to {max}";

    /// <summary>A number, also one written as text: a template inside a text gives such.</summary>
    public static bool TryNumber(JsonNode? node, out double value)
    {
        value = 0;
        return node?.GetValueKind() switch
        {
            JsonValueKind.Number => double.TryParse(node.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture, out value),
            JsonValueKind.String => double.TryParse(node.GetValue<string>(), System.Globalization.CultureInfo.InvariantCulture, out value),
            _ => false,
        } && double.IsFinite(value);
    }
}
