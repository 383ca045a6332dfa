using FunctionsRegistry.Benchmarks;

// dotnet run -c Release --project tests/FunctionsRegistry.Benchmarks -- [agents] [seconds]
// dotnet run -c Release --project tests/FunctionsRegistry.Benchmarks -- durable [seconds]
// dotnet run -c Release --project tests/FunctionsRegistry.Benchmarks -- index [files] [seconds]
if (args is ["durable", ..])
{
    await using var durable = await DurableBench.StartAsync();
    await durable.RunAsync(TimeSpan.FromSeconds(args.Length > 1 ? int.Parse(args[1]) : 5));
    return 0;
}
if (args is ["index", ..])
{
    await IndexBench.RunAsync(args.Length > 1 ? int.Parse(args[1]) : 20_000, TimeSpan.FromSeconds(args.Length > 2 ? int.Parse(args[2]) : 10));
    return 0;
}
if (args is ["index-quality"])
{
    await IndexBench.RunQualityAsync();
    return 0;
}
var agents = args.Length > 0 ? int.Parse(args[0]) : 10_000;
var seconds = args.Length > 1 ? int.Parse(args[1]) : 5;
await using var bench = await MarketplaceBench.StartAsync();
await bench.FillAsync(agents);
await bench.RunAsync(TimeSpan.FromSeconds(seconds));
return 0;
