using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Errors;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>Programs: those that were stored, and those that ship.</summary>
public sealed partial class DspyProgramService(DspyStore store, DspyLibrary library, BlobStore blobs, TimeProvider time)
{
    private const int MaxLoaded = 1000;

    // By blob: a blob never changes.
    private readonly ConcurrentDictionary<string, DspyProgram> _loaded = new(StringComparer.Ordinal);

    /// <summary>Stores a program; one that is the newest revision already stays it.</summary>
    /// <exception cref="RegistryException">422 with every fault.</exception>
    public async Task<DspyProgramStored> PutAsync(string id, JsonElement json, string caller, CancellationToken cancellationToken)
    {
        if (!ProgramId().IsMatch(id))
            throw DspyErrors.InvalidProgramId();
        var program = DspyProgramReader.Read(id, json);
        if (program.Aliases.Count > 0)
            throw ModelErrors.InvalidField("aliases", "only programs that ship with the registry have aliases");
        var bytes = Encoding.UTF8.GetBytes(json.GetRawText());
        var hash = SHA256.HashData(bytes);
        if (await store.FindAsync(id, null, cancellationToken) is { } newest && newest.Hash.AsSpan().SequenceEqual(hash))
            return Stored(newest.Summary, newest.Summary.Revision, created: false);
        var now = time.GetUtcNow();
        var blobName = $"{Guid.CreateVersion7(now):N}.json";
        using var content = new MemoryStream(bytes, writable: false);
        await blobs.UploadAsync(BlobContainers.Programs, blobName, content, "application/json", cancellationToken);
        var summary = Summarise(id, program, 0, now);
        var (revision, isNew) = await store.InsertAsync(new DspyRevision(summary, blobName, hash), caller, cancellationToken);
        // Somebody stored the same at the same time.
        if (!isNew)
            await blobs.DeleteAsync(BlobContainers.Programs, blobName, cancellationToken);
        return Stored(summary, revision, isNew);
    }

    /// <summary>Removes a program with all its revisions.</summary>
    public async Task DeleteAsync(string id, CancellationToken cancellationToken)
    {
        var names = await store.DeleteAsync(id, cancellationToken);
        if (names.Count == 0)
            throw library.Find(id) is null ? DspyErrors.ProgramNotFound(id) : DspyErrors.ProgramShipped(id);
        foreach (var name in names)
            await blobs.DeleteAsync(BlobContainers.Programs, name, cancellationToken);
    }

    /// <summary>Programs after an id, by id; a stored one hides the shipped one of the same id.</summary>
    public async Task<IReadOnlyList<DspyProgramSummary>> ListAsync(string after, int limit, CancellationToken cancellationToken)
    {
        var stored = await store.ListAsync(after, limit, cancellationToken);
        return [.. stored
            .Concat(library.Programs.Where(one => string.CompareOrdinal(one.Id, after) > 0).Select(one => Summarise(one.Id, one.Program, 0, null)))
            .DistinctBy(program => program.ProgramId).OrderBy(program => program.ProgramId, StringComparer.Ordinal).Take(limit)];
    }

    /// <summary>A program with its fields; the newest revision, or that of <c>id@revision</c>.</summary>
    public async Task<DspyProgramDetail> GetAsync(string id, CancellationToken cancellationToken)
    {
        var (programId, revision, program) = await FindAsync(id, cancellationToken);
        return new DspyProgramDetail(
            programId, program.Name, program.Version, program.Description, revision,
            [.. program.Signatures.Select(signature => new DspySignatureDetail(
                signature.Name, signature.Instructions, Describe(signature.Inputs), Describe(signature.Outputs), signature.Demos.Count))]);
    }

    /// <summary>The newest revision, or that of <c>id@revision</c>. A stored program comes before a shipped one of the same id.</summary>
    /// <exception cref="RegistryException">404.</exception>
    public async Task<(string Id, int Revision, DspyProgram Program)> FindAsync(string name, CancellationToken cancellationToken)
    {
        var parts = name.Split('@');
        int? revision = null;
        if (parts.Length > 2 || (parts.Length == 2 && !TryParseRevision(parts[1], out revision)))
            throw DspyErrors.ProgramNotFound(name);
        if (await store.FindAsync(parts[0], revision, cancellationToken) is { } found)
            return (found.Summary.ProgramId, found.Summary.Revision, await LoadAsync(found, cancellationToken));
        return revision is null or 0 && library.Find(parts[0]) is { } shipped ? (shipped.Id, 0, shipped.Program) : throw DspyErrors.ProgramNotFound(name);
    }

    /// <summary>Forgets loaded programs.</summary>
    public void Forget() => _loaded.Clear();

    /// <summary>Removes blobs that nothing points to.</summary>
    public async Task PurgeAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var names = new List<string>();
        await foreach (var (name, createdAt) in blobs.ListAsync(BlobContainers.Programs, "", cancellationToken))
            if (createdAt < now - TimeSpan.FromDays(1))
                names.Add(name);
        foreach (var chunk in names.Chunk(1000))
            foreach (var orphan in await store.ListOrphansAsync(chunk, cancellationToken))
                await blobs.DeleteAsync(BlobContainers.Programs, orphan, cancellationToken);
    }

    private async Task<DspyProgram> LoadAsync(DspyRevision revision, CancellationToken cancellationToken)
    {
        if (_loaded.TryGetValue(revision.BlobName, out var loaded))
            return loaded;
        // Deleted this moment: as if it had been deleted before.
        await using var content = await blobs.OpenReadAsync(BlobContainers.Programs, revision.BlobName, 0, 0, cancellationToken)
            ?? throw DspyErrors.ProgramNotFound(revision.Summary.ProgramId);
        using var document = await JsonDocument.ParseAsync(content, default, cancellationToken);
        if (_loaded.Count >= MaxLoaded)
            _loaded.Clear();
        return _loaded[revision.BlobName] = DspyProgramReader.Read(revision.Summary.ProgramId, document.RootElement);
    }

    private static bool TryParseRevision(string text, out int? revision)
    {
        revision = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
        return revision is not null;
    }

    private static DspyProgramSummary Summarise(string id, DspyProgram program, int revision, DateTimeOffset? createdAt) => new(
        id, program.Name, program.Version,
        [.. program.Signatures.Select(signature => new DspySignatureSummary([.. signature.Inputs.Select(field => field.Name)], [.. signature.Outputs.Select(field => field.Name)]))],
        program.Description, revision, createdAt);

    private static DspyProgramStored Stored(DspyProgramSummary program, int revision, bool created) =>
        new(program.ProgramId, program.Name, program.Version, program.Signatures, program.Description, revision, created);

    private static DspyFieldDetail[] Describe(IReadOnlyList<DspyField> fields) =>
        [.. fields.Select(field => new DspyFieldDetail(field.Name, field.Type, field.Description, field.IsOptional, field.Values.Count == 0 ? null : field.Values))];

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    private static partial Regex ProgramId();
}
