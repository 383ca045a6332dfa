using System.Diagnostics;
using FunctionsRegistry.Blobs;
using FunctionsRegistry.Http;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.LocalStack;
using FunctionsRegistry.Postgres;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace FunctionsRegistry.Benchmarks;

/// <summary>The code index: how fast a large repository is indexed, how large its index is, how fast it is searched by eight clients at once.</summary>
internal sealed class IndexBench
{
    private const int Clients = 8;

    public static async Task RunAsync(int files, TimeSpan time)
    {
        var folder = Path.Combine(Path.GetTempPath(), $"functionsregistry-indexbench-{Environment.ProcessId}");
        Directory.CreateDirectory(folder);
        using var services = LocalServices.Start(new StackOptions { DataDirectory = folder }, Console.WriteLine);
        try
        {
            var corpus = new GeneratedCorpus(1);
            var (path, bytes, lines) = corpus.WriteTo(Path.Combine(folder, "corpus.tar.gz"), files);
            Console.WriteLine($"{files:N0} files, {lines:N0} lines, {bytes / 1e6:0} MB; packed {new FileInfo(path).Length / 1e6:0} MB");
            var configuration = new ConfigurationBuilder().AddInMemoryCollection(services.Settings.ToDictionary(pair => pair.Key, pair => pair.Value)).Build();
            var database = DatabaseOptions.FromConfiguration(configuration, migrateByDefault: true);
            await new Migrator(database.ConnectionString).MigrateAsync(CancellationToken.None);
            await using var source = NpgsqlDataSource.Create(database.ConnectionString);
            await IndexAsync(source, configuration, path, bytes, lines);
            await SearchAsync(source, configuration, time);
            await GrepAsync(path, folder);
        }
        finally
        {
            services.Dispose();
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The built-in corpus, and two generated repositories.</summary>
    public static async Task RunQualityAsync()
    {
        var folder = Path.Combine(Path.GetTempPath(), $"functionsregistry-indexbench-{Environment.ProcessId}");
        Directory.CreateDirectory(folder);
        using var services = LocalServices.Start(new StackOptions { DataDirectory = folder, Redis = false, Fsync = false }, Console.WriteLine);
        try
        {
            var configuration = new ConfigurationBuilder().AddInMemoryCollection(services.Settings.ToDictionary(pair => pair.Key, pair => pair.Value)).Build();
            var database = DatabaseOptions.FromConfiguration(configuration, migrateByDefault: true);
            await new Migrator(database.ConnectionString).MigrateAsync(CancellationToken.None);
            await using var source = NpgsqlDataSource.Create(database.ConnectionString);
            await QualityBench.RunAsync(source, configuration, null);
            await QualityBench.RunSeedsAsync(source, configuration, RepositoryNames.BuiltIn, 12);
            using var outbound = new OutboundHttp(configuration);
            var index = CreateIndex(source, configuration, outbound);
            foreach (var (style, seed) in new[] { ("csharp", 1), ("python", 2) })
            {
                using var archive = new MemoryStream(StyledRepository.Write(style, 300, seed));
                await index.IndexAsync(await index.ReceiveAsync($"{style}-style", archive, CancellationToken.None), CancellationToken.None);
                await QualityBench.RunSeedsAsync(source, configuration, $"{style}-style", 12);
            }
            using (var archive = new MemoryStream(StyledRepository.Write("csharp", 2000, 3)))
                await index.IndexAsync(await index.ReceiveAsync("large", archive, CancellationToken.None), CancellationToken.None);
            var objectives = new ObjectiveService(
                new SearchStore(source), new CodeSearch(new SearchStore(source), IndexAgentOptions.FromConfiguration(configuration)), new BuiltInCorpus(new IndexStore(source, TimeProvider.System)));
            for (var seed = 1; seed <= 3; seed++)
            {
                var (clock, before) = (Stopwatch.StartNew(), ProcessorTime.Read());
                await objectives.GetAsync("large", seed, CancellationToken.None);
                var after = ProcessorTime.Read();
                Console.WriteLine(
                    $"objective of 2,000 files, {(seed == 1 ? "right after indexing" : "again")}: {clock.Elapsed.TotalSeconds:0.0} s; processor {after.Own - before.Own:0.0} + {after.Services - before.Services:0.0} s");
            }
        }
        finally
        {
            services.Dispose();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task IndexAsync(NpgsqlDataSource source, IConfiguration configuration, string path, long bytes, long lines)
    {
        using var outbound = new OutboundHttp(configuration);
        var index = CreateIndex(source, configuration, outbound);
        var clock = Stopwatch.StartNew();
        var before = ProcessorTime.Read();
        await using (var archive = File.OpenRead(path))
        {
            var generation = await index.ReceiveAsync("corpus", archive, CancellationToken.None);
            Console.WriteLine($"stored and inspected in {clock.Elapsed.TotalSeconds:0.0} s");
            await index.IndexAsync(generation, CancellationToken.None);
        }
        clock.Stop();
        var after = ProcessorTime.Read();
        Console.WriteLine(
            $"indexed in {clock.Elapsed.TotalSeconds:0.0} s, {lines / clock.Elapsed.TotalSeconds:N0} lines/s; processor {after.Own - before.Own:0.0} + {after.Services - before.Services:0.0} s; "
            + $"this process peaks at {Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:0} MB, all {ProcessorTime.ReadMemory():0} MB");
        await using var command = source.CreateCommand("""
            SELECT c.relname, pg_total_relation_size(c.oid), pg_relation_size(c.oid), pg_indexes_size(c.oid), c.reltuples::bigint
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'indexagent' AND c.relkind = 'r' ORDER BY 2 DESC LIMIT 4
            """);
        await using var reader = await command.ExecuteReaderAsync();
        var total = 0L;
        while (await reader.ReadAsync())
        {
            total += reader.GetInt64(1);
            Console.WriteLine($"  {reader.GetString(0),-10} {reader.GetInt64(1) / 1e6,6:0} MB (heap {reader.GetInt64(2) / 1e6:0}, indexes {reader.GetInt64(3) / 1e6:0})");
        }
        Console.WriteLine($"index {total / 1e6:0} MB, {(double)total / bytes:0.00} times the source");
    }

    private static IndexService CreateIndex(NpgsqlDataSource source, IConfiguration configuration, OutboundHttp outbound) => new(
        new IndexStore(source, TimeProvider.System), new RepositoryStore(source), new BlobStore(BlobOptions.FromConfiguration(configuration), TimeProvider.System),
        IndexAgentOptions.FromConfiguration(configuration), new OutboundArchive(outbound), TimeProvider.System, NullLogger<IndexService>.Instance);

    // What a user has without an index: the time until the first line, and until the last.
    private static async Task GrepAsync(string archive, string folder)
    {
        var target = Directory.CreateDirectory(Path.Combine(folder, "files")).FullName;
        foreach (var command in (string[])[$"tar xzf {archive} -C {target}", $"git -C {target} init -q", $"git -C {target} add -A"])
            await FirstLineAsync(command.Split(' ')[0], command[(command.IndexOf(' ') + 1)..], target);
        var corpus = new GeneratedCorpus(3);
        foreach (var (name, file, arguments) in new[] { ("grep -rn", "grep", "-rn "), ("git grep -n", "git", "grep -n ") })
        {
            var times = new List<(double First, double All)>();
            for (var i = 0; i < 10; i++)
                times.Add(await FirstLineAsync(file, arguments + corpus.Identifier() + (file == "grep" ? " ." : ""), target));
            Console.WriteLine($"{name}, an identifier: first line {times.Average(one => one.First):0} ms, all {times.Average(one => one.All):0} ms");
        }
    }

    private static async Task<(double First, double All)> FirstLineAsync(string file, string arguments, string folder)
    {
        var clock = Stopwatch.StartNew();
        using var process = Process.Start(new ProcessStartInfo(file, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        await process.StandardOutput.ReadLineAsync();
        var first = clock.Elapsed.TotalMilliseconds;
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        await errors;
        return (first, clock.Elapsed.TotalMilliseconds);
    }

    private static async Task SearchAsync(NpgsqlDataSource source, IConfiguration configuration, TimeSpan time)
    {
        await using (var analyze = new NpgsqlCommand("VACUUM (ANALYZE)", await source.OpenConnectionAsync()) { CommandTimeout = 0 })
            await analyze.ExecuteNonQueryAsync();
        var search = new CodeSearch(new SearchStore(source), IndexAgentOptions.FromConfiguration(configuration));
        var corpus = new GeneratedCorpus(2);
        var queries = new (string Name, Func<string> Next)[]
        {
            ("one word", () => corpus.Words(1)),
            ("two words", () => corpus.Words(2)),
            ("four words", () => corpus.Words(4)),
            ("identifier", corpus.Identifier),
            ("word and path", () => $"{corpus.Words(1)} path:src/user/** lang:go"),
            ("phrase", () => $"\"{corpus.Identifier()}(\""),
            ("regex", () => $"/func.*{corpus.Identifier()}\\(/"),
            ("sym glob", () => $"sym:{corpus.Identifier()[..5]}*"),
            ("frequent words", () => "return result count"),
        };
        // Compiling the paths takes the first seconds.
        await LoadAsync(search, "warming", () => queries[Random.Shared.Next(queries.Length)].Next(), time);
        foreach (var (name, next) in queries)
            await LoadAsync(search, name, next, time / 3);
        await LoadAsync(search, "mixed", () => queries[Random.Shared.Next(queries.Length)].Next(), time);
        Console.WriteLine($"this process peaks at {Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:0} MB");
    }

    private static async Task LoadAsync(CodeSearch search, string name, Func<string> next, TimeSpan time)
    {
        var texts = Enumerable.Range(0, 2000).Select(_ => next()).ToArray();
        foreach (var measured in (bool[])[false, true])
        {
            var times = new List<double>();
            var hits = 0L;
            var end = Stopwatch.GetTimestamp() + (long)(time.TotalSeconds * Stopwatch.Frequency);
            var number = 0;
            var before = ProcessorTime.Read();
            await Task.WhenAll(Enumerable.Range(0, Clients).Select(async _ =>
            {
                await Task.Yield();
                while (Stopwatch.GetTimestamp() < end)
                {
                    var start = Stopwatch.GetTimestamp();
                    var plan = new QueryPlan(CodeQueryParser.Parse(texts[Interlocked.Increment(ref number) % texts.Length]));
                    var found = await search.RankAsync(plan, new SearchScope(null, null, [], 10, 0), Genome.Default, CancellationToken.None);
                    lock (times)
                    {
                        times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                        hits += found.Total;
                    }
                }
            }));
            times.Sort();
            var after = ProcessorTime.Read();
            if (measured)
                Console.WriteLine(
                    $"{name,-16} {times.Count / time.TotalSeconds,6:0}/s, p50 {times[times.Count / 2],6:0.0} ms, p99 {times[times.Count * 99 / 100],6:0.0} ms, processor "
                    + $"{(after.Own - before.Own) * 1000 / times.Count,5:0.0} + {(after.Services - before.Services) * 1000 / times.Count,5:0.0} ms, {hits / times.Count,7:N0} hits; e.g. {texts[0]}");
        }
    }
}
