using FunctionsRegistry.Benchmarks;

// dotnet run -c Release --project tests/FunctionsRegistry.Benchmarks -- [agents] [seconds], or -- mlflow [seconds]
if (args is ["mlflow", ..])
{
    await using var mlflow = await MlflowBench.StartAsync();
    await mlflow.RunAsync(TimeSpan.FromSeconds(args.Length > 1 ? int.Parse(args[1]) : 5));
    return 0;
}
var agents = args.Length > 0 ? int.Parse(args[0]) : 10_000;
var seconds = args.Length > 1 ? int.Parse(args[1]) : 5;
await using var bench = await MarketplaceBench.StartAsync();
await bench.FillAsync(agents);
await bench.RunAsync(TimeSpan.FromSeconds(seconds));
return 0;
