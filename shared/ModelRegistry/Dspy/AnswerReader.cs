using System.Text;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>
/// Cuts a model's answer into its fields while it arrives. A field begins at a line that starts with its marker, <c>[[ ## name ## ]]</c>, and ends at
/// the next one; white space around it does not count, nor does a second one of the same name. Pure.
/// </summary>
/// <param name="onText">Told each further part of a field's text, white space at its end held back until more follows; null for nobody.</param>
public sealed class AnswerReader(Action<string, string>? onText = null)
{
    private const string Opening = "[[ ## ";
    private const string Closing = " ## ]]";
    private const int MaxNameChars = 100;
    private const int MaxMarkerChars = 200;

    private readonly Dictionary<string, StringBuilder> _fields = new(StringComparer.Ordinal);
    private readonly StringBuilder _line = new();
    private readonly StringBuilder _space = new();
    private bool _mayBeMarker = true;
    private string? _field;

    /// <summary>The fields so far, in the order of their coming.</summary>
    public IReadOnlyDictionary<string, string> Fields => _fields.ToDictionary(pair => pair.Key, pair => pair.Value.ToString(), StringComparer.Ordinal);

    /// <summary>The next part of the answer.</summary>
    public void Append(string text)
    {
        foreach (var c in text)
        {
            if (c == '\n')
            {
                EndLine();
                Add("\n");
            }
            else if (!_mayBeMarker)
            {
                _line.Append(c);
            }
            else
            {
                _line.Append(c);
                ReadMarker();
            }
        }
        // Whatever can be no marker any more.
        if (!_mayBeMarker)
            Flush();
    }

    /// <summary>The answer is whole.</summary>
    public void Complete() => EndLine();

    private void EndLine()
    {
        Flush();
        _mayBeMarker = true;
    }

    private void Flush()
    {
        Add(_line.ToString());
        _line.Clear();
    }

    private void ReadMarker()
    {
        var line = _line.ToString().AsSpan().TrimStart();
        if (_line.Length > MaxMarkerChars)
        {
            _mayBeMarker = false;
            return;
        }
        if (line.Length <= Opening.Length)
        {
            _mayBeMarker = Opening.AsSpan().StartsWith(line);
            return;
        }
        if (!line.StartsWith(Opening))
        {
            _mayBeMarker = false;
            return;
        }
        var rest = line[Opening.Length..];
        var length = 0;
        while (length < rest.Length && (char.IsLetterOrDigit(rest[length]) || rest[length] == '_'))
            length++;
        var end = rest[length..];
        _mayBeMarker = length is > 0 and <= MaxNameChars && end.Length <= Closing.Length && Closing.AsSpan().StartsWith(end);
        if (!_mayBeMarker || end.Length < Closing.Length)
            return;
        var name = rest[..length].ToString();
        _line.Clear();
        _space.Clear();
        _mayBeMarker = false;
        // The first one counts; a second one's text goes nowhere.
        _field = _fields.TryAdd(name, new StringBuilder()) ? name : null;
    }

    private void Add(string text)
    {
        if (_field is null || text.Length == 0)
            return;
        var field = _fields[_field];
        var end = text.AsSpan().TrimEnd().Length;
        if (end == 0)
        {
            _space.Append(text);
            return;
        }
        var more = (field.Length == 0 ? "" : _space.ToString()) + text[..end];
        if (field.Length == 0)
            more = more.TrimStart();
        _space.Clear().Append(text, end, text.Length - end);
        field.Append(more);
        onText?.Invoke(_field, more);
    }
}
