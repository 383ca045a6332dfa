using FunctionsRegistry.Benchmarks;

// dotnet run -c Release --project tests/FunctionsRegistry.Benchmarks -- [agents] [seconds] [row]
// or -- durable [seconds] | airflow [runs] | dhg [conversations] [seconds] | mlflow [seconds] | mlflow-front [seconds] | index [files] [seconds] | index-quality
// | evolution
int Number(int index, int otherwise) => args.Length > index ? int.Parse(args[index]) : otherwise;
TimeSpan Seconds(int index, int otherwise) => TimeSpan.FromSeconds(Number(index, otherwise));
switch (args)
{
    case ["durable", ..]:
        await using (var durable = await DurableBench.StartAsync())
            await durable.RunAsync(Seconds(1, 5));
        break;
    case ["airflow", ..]:
        await using (var airflow = await AirflowBench.StartAsync())
        {
            await airflow.FillAsync(Number(1, 1_000_000));
            await airflow.RunAsync();
        }
        break;
    case ["dhg", ..]:
        await using (var registry = await DataRegistryBench.StartAsync())
        {
            await registry.FillAsync(Number(1, 100_000));
            await registry.RunAsync(Seconds(2, 5));
        }
        break;
    case ["mlflow", ..]:
        await using (var mlflow = await MlflowBench.StartAsync())
            await mlflow.RunAsync(Seconds(1, 5));
        break;
    case ["mlflow-front", ..]:
        await using (var front = await MlflowBench.StartAsync())
            await front.RunFrontAsync(Seconds(1, 5));
        break;
    case ["index", ..]:
        await IndexBench.RunAsync(Number(1, 20_000), Seconds(2, 10));
        break;
    case ["index-quality"]:
        await IndexBench.RunQualityAsync();
        break;
    case ["evolution"]:
        await EvolutionBench.RunAsync();
        break;
    default:
        await using (var bench = await MarketplaceBench.StartAsync())
        {
            await bench.FillAsync(Number(0, 10_000));
            await bench.RunAsync(Seconds(1, 5), args.ElementAtOrDefault(2) ?? "");
        }
        break;
}
