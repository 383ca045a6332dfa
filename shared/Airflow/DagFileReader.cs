using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using FunctionsRegistry.Airflow.Operators;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace FunctionsRegistry.Airflow;

/// <summary>Reads one DAG file and collects everything that is wrong with it, with lines.</summary>
public sealed partial class DagFileReader
{
    private const int MaxTasks = 500;
    private const double MaxSeconds = 30 * 86_400;
    private static readonly string[] s_dagFields = ["id", "description", "owners", "tags", "schedule", "max_active_runs", "params", "tasks"];

    private static readonly string[] s_taskFields =
    [
        "id", "needs", "operator", "params", "retries", "retry_delay_seconds", "retry_backoff", "max_retry_delay_seconds", "trigger_rule",
        "timeout_seconds", "pool",
    ];

    private readonly string _fileName;
    private readonly IReadOnlyDictionary<string, IOperator> _operators;
    private readonly List<DagFault> _faults = [];

    private DagFileReader(string fileName, IReadOnlyDictionary<string, IOperator> operators) => (_fileName, _operators) = (fileName, operators);

    /// <summary>Reads a file's text.</summary>
    /// <exception cref="DagFileException">All faults.</exception>
    public static DagDefinition Read(string fileName, string source, IReadOnlyDictionary<string, IOperator> operators)
    {
        var reader = new DagFileReader(fileName, operators);
        var dag = reader.ReadDag(source);
        return reader._faults.Count == 0 && dag is not null ? dag : throw new DagFileException([.. reader._faults.OrderBy(fault => fault.Line)]);
    }

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\z", RegexOptions.CultureInvariant)]
    private static partial Regex Identifier();

    private DagDefinition? ReadDag(string source)
    {
        var document = new YamlStream();
        try
        {
            document.Load(new StringReader(source));
        }
        catch (YamlException exception)
        {
            _faults.Add(new DagFault(_fileName, Math.Max(1, exception.Start.Line), $"not YAML: {(exception.InnerException ?? exception).Message}"));
            return null;
        }
        catch (Exception exception) when (exception is InvalidOperationException or ArgumentException)
        {
            // The library's scanner gives up this way on some broken texts.
            _faults.Add(new DagFault(_fileName, 1, $"not YAML: {exception.Message}"));
            return null;
        }
        if (document.Documents is not [{ RootNode: YamlMappingNode root }])
        {
            _faults.Add(new DagFault(_fileName, 1, "must be one mapping"));
            return null;
        }
        var budget = 50_000;
        if (YamlJson.IsTooLarge(root, 0, ref budget))
        {
            Fault(root, "is nested too deeply, has too many parts, or refers to itself");
            return null;
        }

        var fields = Fields(root, "", s_dagFields);
        var id = ReadId(root, fields, "");
        var tasks = ReadTasks(root, fields);
        var parameters = fields.TryGetValue("params", out var node) ? ReadMapping("params", node) : [];
        foreach (var (task, at) in tasks)
            CheckTemplates(task, at, tasks, parameters);
        var sorted = Sort(tasks);
        foreach (var (task, at) in tasks)
            if (_operators.TryGetValue(task.Operator, out var found))
                foreach (var fault in found.Check(task, [.. tasks.Select(pair => pair.Task)]))
                    Fault(at, $"task '{task.Id}' {fault}");
        return new DagDefinition(
            id, ReadText(fields, "description", 2000) ?? "", _fileName, source, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source))),
            ReadList(fields, "owners"), ReadList(fields, "tags"), ReadSchedule(fields), (int)ReadNumber(fields, "max_active_runs", "", 16, 1, 1000, whole: true),
            parameters, sorted);
    }

    private List<(TaskDefinition Task, YamlNode At)> ReadTasks(YamlMappingNode root, Dictionary<string, YamlNode> fields)
    {
        var tasks = new List<(TaskDefinition Task, YamlNode At)>();
        if (!fields.TryGetValue("tasks", out var node) || node is not YamlSequenceNode { Children.Count: > 0 and <= MaxTasks } items)
        {
            Fault(node ?? root, $"'tasks' must be a list of 1 to {MaxTasks} tasks");
            return tasks;
        }
        foreach (var item in items)
        {
            if (item is not YamlMappingNode mapping)
                Fault(item, "a task must be a mapping");
            else
                tasks.Add((ReadTask(mapping), mapping));
        }
        foreach (var twice in tasks.GroupBy(pair => pair.Task.Id).Where(group => group.Key.Length > 0).SelectMany(group => group.Skip(1)))
            Fault(twice.At, $"the task id '{twice.Task.Id}' is there twice");
        var ids = tasks.Select(pair => pair.Task.Id).ToHashSet();
        foreach (var (task, at) in tasks)
            foreach (var need in task.Needs.Where(need => !ids.Contains(need)))
                Fault(at, $"task '{task.Id}' needs '{need}', which does not exist");
        return tasks;
    }

    private TaskDefinition ReadTask(YamlMappingNode node)
    {
        var id = node.Children.TryGetValue(new YamlScalarNode("id"), out var named) && named is YamlScalarNode { Value: { } text } ? text : "";
        var place = id.Length > 0 ? $"task '{id}': " : "";
        var fields = Fields(node, place, s_taskFields);
        id = ReadId(node, fields, place);
        var operatorName = ReadText(fields, "operator", 100);
        var parameters = fields.TryGetValue("params", out var given) ? ReadMapping(place + "params", given) : [];
        if (operatorName is null)
            Fault(node, $"{place}'operator' is missing");
        else if (!_operators.TryGetValue(operatorName, out var found))
            Fault(fields["operator"], $"{place}there is no operator '{operatorName}'; there are {string.Join(", ", _operators.Keys.Order(StringComparer.Ordinal))}");
        else
            CheckParameters(found, parameters, given ?? node, place);
        var rule = TriggerRule.AllSuccess;
        if (ReadText(fields, "trigger_rule", 100) is { } name && !StateNames.TryRule(name, out rule))
            Fault(fields["trigger_rule"], $"{place}there is no trigger rule '{name}'; there are {string.Join(", ", StateNames.Rules)}");
        var needs = ReadList(fields, "needs");
        if (needs.Count != needs.Distinct().Count())
            Fault(fields["needs"], $"{place}'needs' names a task twice");
        return new TaskDefinition(
            id, needs, operatorName ?? "", parameters,
            (int)ReadNumber(fields, "retries", place, 0, 0, 100, whole: true),
            ReadNumber(fields, "retry_delay_seconds", place, 30, 0, MaxSeconds),
            ReadNumber(fields, "retry_backoff", place, 1, 1, 100),
            ReadNumber(fields, "max_retry_delay_seconds", place, 3600, 0, MaxSeconds),
            rule,
            ReadNumber(fields, "timeout_seconds", place, 300, 0.001, MaxSeconds),
            ReadText(fields, "pool", 200) ?? Pool.DefaultName);
    }

    private void CheckParameters(IOperator found, JsonObject parameters, YamlNode at, string place)
    {
        foreach (var (name, _) in parameters.Where(pair => found.Parameters.All(known => known.Name != pair.Key)))
            Fault(at, $"{place}the operator '{found.Name}' has no parameter '{name}'");
        foreach (var parameter in found.Parameters)
        {
            if (!parameters.TryGetPropertyValue(parameter.Name, out var value))
            {
                if (parameter.Required)
                    Fault(at, $"{place}the operator '{found.Name}' needs the parameter '{parameter.Name}'");
            }
            else if (!HasTemplate(value) && parameter.Check(value) is { } fault)
            {
                Fault(at, $"{place}the parameter '{parameter.Name}' {fault}");
            }
        }
    }

    private static bool HasTemplate(JsonNode? value)
    {
        try
        {
            return TemplateText.References(value).Any();
        }
        catch (TemplateException)
        {
            // Reported where templates are checked.
            return true;
        }
    }

    private void CheckTemplates(TaskDefinition task, YamlNode at, List<(TaskDefinition Task, YamlNode At)> tasks, JsonObject parameters)
    {
        try
        {
            foreach (var reference in TemplateText.References(task.Params))
            {
                if (reference.Path[0] == "params" && !parameters.ContainsKey(reference.Path[1]))
                    Fault(at, $"task '{task.Id}' uses ${{{reference}}}, but the DAG has no parameter '{reference.Path[1]}'");
                if (reference.TaskId is { } id && !Before(task, tasks).Contains(id))
                    Fault(at, $"task '{task.Id}' uses ${{{reference}}}, but '{id}' does not come before it");
            }
        }
        catch (TemplateException exception)
        {
            Fault(at, $"task '{task.Id}': {exception.Message}");
        }
    }

    private static HashSet<string> Before(TaskDefinition task, List<(TaskDefinition Task, YamlNode At)> tasks)
    {
        var before = new HashSet<string>();
        var open = new Queue<string>(task.Needs);
        while (open.TryDequeue(out var id))
            if (before.Add(id) && tasks.Find(pair => pair.Task.Id == id).Task is { } need)
                foreach (var further in need.Needs)
                    open.Enqueue(further);
        return before;
    }

    // Kahn's algorithm; tasks keep their order in the file where their needs allow it.
    private List<TaskDefinition> Sort(List<(TaskDefinition Task, YamlNode At)> tasks)
    {
        var ids = tasks.Select(pair => pair.Task.Id).ToHashSet();
        var sorted = new List<TaskDefinition>();
        var done = new HashSet<string>();
        var open = tasks.ToList();
        while (open.Find(pair => pair.Task.Needs.All(need => done.Contains(need) || !ids.Contains(need))) is { Task: not null } next)
        {
            open.Remove(next);
            sorted.Add(next.Task);
            done.Add(next.Task.Id);
        }
        if (open.Count > 0)
            Fault(open[0].At, $"the tasks {string.Join(", ", Cycle([.. open.Select(pair => pair.Task)]).Select(id => $"'{id}'"))} need each other in a circle");
        return sorted;
    }

    // Every task that could not be sorted needs another such task, so going back ends in a circle.
    private static IEnumerable<string> Cycle(List<TaskDefinition> open)
    {
        var path = new List<string>();
        var current = open[0];
        while (!path.Contains(current.Id))
        {
            path.Add(current.Id);
            current = open.First(task => current.Needs.Contains(task.Id));
        }
        return path.Skip(path.IndexOf(current.Id)).Reverse();
    }

    private CronSchedule? ReadSchedule(Dictionary<string, YamlNode> fields)
    {
        if (ReadText(fields, "schedule", 200) is not { } text)
            return null;
        var schedule = CronSchedule.TryParse(text, out var fault);
        if (schedule is null)
            Fault(fields["schedule"], fault);
        return schedule;
    }

    private string ReadId(YamlNode node, Dictionary<string, YamlNode> fields, string place)
    {
        if (ReadText(fields, "id", 1000) is not { } id)
        {
            if (!fields.ContainsKey("id"))
                Fault(node, $"{place}'id' is missing");
            return "";
        }
        if (!Identifier().IsMatch(id))
            Fault(fields["id"], $"the id '{id}' must be 1 to 200 letters, digits, '_', '-' and '.', not starting with '-' or '.'");
        return id;
    }

    private Dictionary<string, YamlNode> Fields(YamlMappingNode node, string place, string[] known)
    {
        var fields = new Dictionary<string, YamlNode>();
        foreach (var (key, value) in node.Children)
        {
            if (key is not YamlScalarNode { Value: { } name } || !known.Contains(name))
                Fault(key, $"{place}there is no field '{key}'; there are {string.Join(", ", known)}");
            // An explicit null is the same as leaving the field out.
            else if (!YamlJson.IsNull(value))
                fields[name] = value;
        }
        return fields;
    }

    private string? ReadText(Dictionary<string, YamlNode> fields, string name, int maxLength)
    {
        if (!fields.TryGetValue(name, out var node))
            return null;
        if (node is YamlScalarNode { Value: { Length: > 0 } text } && text.Length <= maxLength && !text.Contains('\0'))
            return text;
        Fault(node, $"'{name}' must be a text of 1 to {maxLength} characters");
        return null;
    }

    private List<string> ReadList(Dictionary<string, YamlNode> fields, string name)
    {
        if (!fields.TryGetValue(name, out var node))
            return [];
        if (node is YamlSequenceNode items && items.All(item => item is YamlScalarNode { Value: { Length: > 0 and <= 200 } text } && !text.Contains('\0')))
            return [.. items.Select(item => ((YamlScalarNode)item).Value!)];
        Fault(node, $"'{name}' must be a list of texts");
        return [];
    }

    private double ReadNumber(Dictionary<string, YamlNode> fields, string name, string place, double standard, double min, double max, bool whole = false)
    {
        if (!fields.TryGetValue(name, out var node))
            return standard;
        if (node is YamlScalarNode { Value: { } text } && double.TryParse(text, CultureInfo.InvariantCulture, out var value)
            && value >= min && value <= max && (!whole || value == Math.Floor(value)))
            return value;
        Fault(node, $"{place}'{name}' must be a {(whole ? "whole " : "")}number from {min} to {max}");
        return standard;
    }

    private JsonObject ReadMapping(string name, YamlNode node)
    {
        if (ToJson(node) is JsonObject mapping)
            return mapping;
        Fault(node, $"'{name}' must be a mapping");
        return [];
    }

    private JsonNode? ToJson(YamlNode node)
    {
        switch (node)
        {
            case YamlMappingNode mapping:
                var members = new JsonObject();
                foreach (var (key, value) in mapping.Children)
                {
                    if (key is YamlScalarNode { Value: { } name })
                        members[name] = ToJson(value);
                    else
                        Fault(key, "a name must be a text");
                }
                return members;
            case YamlSequenceNode items:
                return new JsonArray([.. items.Select(ToJson)]);
            case YamlScalarNode scalar:
                return YamlJson.ToJson(scalar);
            default:
                Fault(node, "cannot be understood");
                return null;
        }
    }

    private void Fault(YamlNode node, string reason) => _faults.Add(new DagFault(_fileName, Math.Max(1, node.Start.Line), reason));
}
