using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using FunctionsRegistry.Airflow;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.Airflow;

/// <summary>What the Airflow lists have in common: their parameters, in the forms that the spec, DEAN's client and Airflow's clients send.</summary>
internal static partial class AirflowQueries
{
    /// <summary>The most that one page holds, and what it holds unless asked: Airflow's <c>maximum_page_limit</c>.</summary>
    public const int PageSize = 100;

    /// <summary>All DAGs or all runs.</summary>
    public const string All = "~";

    /// <summary>limit and offset: a limit over 100 means 100, 0 the standard; what is negative is refused in Airflow's words.</summary>
    public static (int Limit, int Offset) ReadPage(HttpRequest request) =>
        (CheckLimit(request.GetInteger("limit", PageSize, int.MinValue, int.MaxValue)), request.GetInteger("offset", 0, 0, int.MaxValue));

    /// <summary>A page's limit as Airflow takes it.</summary>
    public static int CheckLimit(int limit) => limit switch
    {
        < 0 => throw AirflowErrors.NegativeLimit(),
        0 => PageSize,
        _ => Math.Min(limit, PageSize),
    };

    /// <summary>Values of a parameter that may be repeated, comma-joined, or both.</summary>
    public static List<string> ReadList(HttpRequest request, string name)
    {
        // Checks length and encoding of what the framework joins with commas itself.
        var joined = request.GetText(name, 4000) ?? "";
        return [.. joined.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Distinct()];
    }

    /// <summary>state of runs.</summary>
    public static IReadOnlyList<RunState> ReadRunStates(HttpRequest request) => ParseRunStates("state", ReadList(request, "state"));

    /// <summary>Names of run states.</summary>
    public static IReadOnlyList<RunState> ParseRunStates(string name, IReadOnlyList<string> texts) => [.. texts.Select(text =>
        StateNames.TryRun(text, out var state) ? state : throw AirflowErrors.BadParameter(name, $"one or more of {string.Join(", ", StateNames.Runs)}"))];

    /// <summary>state of tasks.</summary>
    public static IReadOnlyList<TaskState> ReadTaskStates(HttpRequest request) => [.. ReadList(request, "state").Select(text =>
        StateNames.TryTask(text, out var state) ? state : throw AirflowErrors.BadParameter("state", $"one or more of {string.Join(", ", StateNames.Tasks)}"))];

    /// <summary>order_by: a field, or one with '-' before it for descending.</summary>
    public static (string Field, bool Descending) ReadOrder(HttpRequest request, string standard, IReadOnlyCollection<string> allowed) =>
        ParseOrder(request.GetText("order_by", 100) ?? standard, allowed);

    /// <summary>An order in Airflow's form.</summary>
    public static (string Field, bool Descending) ParseOrder(string text, IReadOnlyCollection<string> allowed)
    {
        var descending = text.StartsWith('-');
        var field = descending ? text[1..] : text;
        return allowed.Contains(field) ? (field, descending) : throw AirflowErrors.BadOrder(field);
    }

    /// <summary>&lt;name&gt;_gte and _lte.</summary>
    public static TimeRange ReadRange(HttpRequest request, string name) => new(ReadTime(request, name + "_gte"), ReadTime(request, name + "_lte"));

    /// <summary>true or false in any of the ways that clients write it, Python's <c>True</c> included.</summary>
    public static bool? ReadBoolean(HttpRequest request, string name) => request.GetText(name, 10)?.ToLowerInvariant() switch
    {
        null => null,
        "true" or "1" or "t" or "yes" => true,
        "false" or "0" or "f" or "no" => false,
        _ => throw AirflowErrors.BadParameter(name, "true or false"),
    };

    /// <summary>A number, or null.</summary>
    public static double? ReadNumber(HttpRequest request, string name)
    {
        if (request.GetText(name, 50) is not { } text)
            return null;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            ? value
            : throw AirflowErrors.BadParameter(name, "a number");
    }

    /// <summary>An ISO 8601 date or time; without a zone it is UTC, as DEAN's client sends it.</summary>
    public static bool TryTime(string text, out DateTimeOffset time)
    {
        time = default;
        // An unescaped '+' of a query has become a space.
        text = LostPlus().Replace(text, "$1+$2");
        return Iso8601().IsMatch(text)
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out time);
    }

    /// <summary>A time in a JSON body, or null; a fault is told with the others.</summary>
    public static DateTimeOffset? ReadTime(FieldReader body, string name)
    {
        if (body.OptionalText(name, 0, 64) is not { } text)
            return null;
        if (TryTime(text, out var time))
            return time;
        body.Fault(name, "must be an ISO 8601 date and time", "value_error.datetime");
        return null;
    }

    /// <summary>The conf of a trigger as JSON text: an object; null and nothing stand for an empty one.</summary>
    public static string ReadConf(FieldReader body) => body.OptionalObject("conf") is { ValueKind: JsonValueKind.Object } conf ? conf.GetRawText() : "{}";

    /// <summary>Whether the client asks for plain text rather than JSON.</summary>
    public static bool WantsText(HttpRequest request)
    {
        var accept = request.Headers.Accept.ToString();
        return accept.Contains("text/plain", StringComparison.OrdinalIgnoreCase) && !accept.Contains("json", StringComparison.OrdinalIgnoreCase);
    }

    private static DateTimeOffset? ReadTime(HttpRequest request, string name)
    {
        if (request.GetText(name, 64) is not { } text)
            return null;
        return TryTime(text, out var time) ? time : throw AirflowErrors.BadParameter(name, "an ISO 8601 date and time");
    }

    [GeneratedRegex(@"\A\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)? ?(Z|z|[+-]\d{2}:?\d{2})?)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Iso8601();

    [GeneratedRegex(@"(:\d{2}(?:\.\d+)?) (\d{2}:?\d{2})\z", RegexOptions.CultureInvariant)]
    private static partial Regex LostPlus();
}
