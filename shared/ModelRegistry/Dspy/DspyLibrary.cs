using System.Text.Json;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>The programs that ship with the app: <c>dspy-programs/*.json</c> beside it, in the form of PUT /programs; a file's name is its program's id.</summary>
public sealed class DspyLibrary
{
    private readonly Dictionary<string, (string Id, DspyProgram Program)> _byName = new(StringComparer.Ordinal);

    /// <summary>Reads all files.</summary>
    /// <exception cref="InvalidOperationException">Something is wrong in one; the message says where.</exception>
    public DspyLibrary()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "dspy-programs");
        foreach (var path in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal))
        {
            var id = Path.GetFileNameWithoutExtension(path);
            var program = Read(path, id);
            foreach (var name in program.Aliases.Prepend(id))
                if (!_byName.TryAdd(name, (id, program)))
                    throw new InvalidOperationException($"{path}: the name '{name}' is another program's already.");
        }
        Programs = [.. _byName.Where(pair => pair.Key == pair.Value.Id).Select(pair => (pair.Key, pair.Value.Program)).OrderBy(pair => pair.Key, StringComparer.Ordinal)];
    }

    /// <summary>All of them, by id.</summary>
    public IReadOnlyList<(string Id, DspyProgram Program)> Programs { get; }

    /// <summary>A program by its id or an alias, or null.</summary>
    public (string Id, DspyProgram Program)? Find(string name) => _byName.TryGetValue(name, out var found) ? found : null;

    private static DspyProgram Read(string path, string id)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return DspyProgramReader.Read(id, document.RootElement);
        }
        catch (JsonException exception)
        {
            throw new InvalidOperationException($"{path}: {exception.Message}", exception);
        }
        catch (RegistryException exception)
        {
            throw new InvalidOperationException(
                $"{path}: {string.Join("; ", exception.Fields.Select(fault => $"{string.Join('.', fault.Location.Skip(1))}: {fault.Message}"))}", exception);
        }
    }
}
