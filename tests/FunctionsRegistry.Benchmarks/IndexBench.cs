using System.Diagnostics;
using FunctionsRegistry.IndexAgent;
using FunctionsRegistry.LocalStack;
using FunctionsRegistry.Postgres;
using Npgsql;

namespace FunctionsRegistry.Benchmarks;

/// <summary>The code index: how fast a large repository is indexed, how large its index is, how fast it is searched by eight clients at once.</summary>
internal sealed class IndexBench
{
    public static async Task RunAsync(int files, TimeSpan time)
    {
        var folder = Path.Combine(Path.GetTempPath(), $"functionsregistry-indexbench-{Environment.ProcessId}");
        Directory.CreateDirectory(folder);
        try
        {
            var (path, bytes, lines) = new GeneratedCorpus(1).WriteTo(Path.Combine(folder, "corpus.tar.gz"), files);
            Console.WriteLine($"{files:N0} files, {lines:N0} lines, {bytes >> 20} MB; packed {new FileInfo(path).Length >> 20} MB");
            MeasureBuild(files / 10);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        await Task.CompletedTask;
    }

    private static void MeasureBuild(int files)
    {
        var corpus = new GeneratedCorpus(1);
        var texts = Enumerable.Range(0, files).Select(corpus.Next).ToList();
        for (var round = 0; round < 3; round++)
        {
            var segment = new SegmentBuilder();
            var clock = Stopwatch.StartNew();
            var lines = 0;
            foreach (var (path, text) in texts)
                lines += segment.Add(path, text, text.Length);
            clock.Stop();
            var postings = segment.Postings.Values.Sum(one => (long)one.ToArray().Length);
            Console.WriteLine($"{files} files {lines} lines {segment.Bytes >> 10} KB: {clock.ElapsedMilliseconds} ms; sections {segment.Sections.Count}, terms {segment.Postings.Count}, postings {postings >> 10} KB");
        }
    }
}
