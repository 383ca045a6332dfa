using System.Text.Json;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>A field of a signature.</summary>
/// <param name="Name"><c>^[a-z][a-z0-9_]*$</c>.</param>
/// <param name="Type">One of <see cref="DspyTypes.Known"/>.</param>
/// <param name="Values">The only texts it may have, or empty for any; DSPy's Literal.</param>
public sealed record DspyField(string Name, string Type, string? Description, bool IsOptional, IReadOnlyList<string> Values);

/// <summary>One call of the language model: what goes in, what comes out, how it is told, and examples by field name.</summary>
public sealed record DspySignature(
    string Name, string Instructions, IReadOnlyList<DspyField> Inputs, IReadOnlyList<DspyField> Outputs, IReadOnlyList<IReadOnlyDictionary<string, JsonElement>> Demos);

/// <summary>
/// A program: its signatures run in order, each with the program's inputs and the outputs of those before it. <paramref name="Aliases"/> are only for
/// programs that ship with the app.
/// </summary>
public sealed record DspyProgram(string Name, string Version, string? Description, IReadOnlyList<string> Aliases, IReadOnlyList<DspySignature> Signatures)
{
    /// <summary>What a caller gives: every input that no earlier signature makes.</summary>
    public IReadOnlyList<DspyField> Inputs { get; } = [.. Signatures
        .SelectMany((signature, index) => signature.Inputs.Where(input => !Signatures.Take(index).SelectMany(earlier => earlier.Outputs).Any(output => output.Name == input.Name)))
        .GroupBy(input => input.Name)
        .Select(same => same.First() with { IsOptional = same.All(one => one.IsOptional) })];

    /// <summary>What a caller gets: the outputs of all signatures.</summary>
    public IReadOnlyList<DspyField> Outputs { get; } = [.. Signatures.SelectMany(signature => signature.Outputs).GroupBy(output => output.Name).Select(same => same.Last())];
}
