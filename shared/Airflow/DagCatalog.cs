using System.Collections.Concurrent;
using FunctionsRegistry.Airflow.Operators;

namespace FunctionsRegistry.Airflow;

/// <summary>The DAGs of this process's files, and the versions that older runs were started with.</summary>
public sealed class DagCatalog(AirflowOptions options, IEnumerable<IOperator> operators, DagStore store)
{
    private readonly Dictionary<string, IOperator> _operators = operators.ToDictionary(one => one.Name);
    private readonly ConcurrentDictionary<(string DagId, string Version), DagDefinition> _versions = new();

    /// <summary>The operator of that name.</summary>
    public IOperator Operator(string name) => _operators[name];

    /// <summary>Reads all files and makes the rows what they say.</summary>
    /// <exception cref="DagFileException">Something is wrong in a file; nothing was written then.</exception>
    public async Task LoadAsync(CancellationToken cancellationToken)
    {
        var dags = await ReadFilesAsync(cancellationToken);
        foreach (var dag in dags)
            _versions[(dag.Id, dag.Version)] = dag;
        await store.SyncAsync(dags, cancellationToken);
    }

    /// <summary>A version of a DAG.</summary>
    /// <exception cref="DagFileException">It was written for operators that are not there any more.</exception>
    public async ValueTask<DagDefinition> GetAsync(string dagId, string version, CancellationToken cancellationToken)
    {
        if (_versions.TryGetValue((dagId, version), out var known))
            return known;
        var (fileName, source) = await store.FindVersionAsync(dagId, version, cancellationToken) ?? throw AirflowErrors.DagNotFound();
        return _versions.GetOrAdd((dagId, version), DagFileReader.Read(fileName, source, _operators));
    }

    private async Task<List<DagDefinition>> ReadFilesAsync(CancellationToken cancellationToken)
    {
        var dags = new List<DagDefinition>();
        var faults = new List<DagFault>();
        foreach (var path in options.DagDirectories.SelectMany(ListFiles))
        {
            var fileName = Path.GetFileName(path);
            try
            {
                var dag = DagFileReader.Read(fileName, await File.ReadAllTextAsync(path, cancellationToken), _operators);
                if (dags.Find(other => other.Id == dag.Id) is { } twice)
                    faults.Add(new DagFault(fileName, 1, $"the DAG '{dag.Id}' is already in {twice.FileName}"));
                else
                    dags.Add(dag);
            }
            catch (DagFileException exception)
            {
                faults.AddRange(exception.Faults);
            }
        }
        return faults.Count == 0 ? dags : throw new DagFileException(faults);
    }

    private static IEnumerable<string> ListFiles(string directory) => Directory.Exists(directory)
        ? Directory.EnumerateFiles(directory).Where(path => Path.GetExtension(path) is ".yaml" or ".yml").Order(StringComparer.Ordinal)
        : throw new DagFileException([new DagFault(directory, 1, "the folder of DAG files does not exist")]);
}
