namespace FunctionsRegistry.LocalRuntime.Hosting;

/// <summary>Runs any function through the app's middleware, whatever triggered it.</summary>
internal sealed class FunctionInvoker
{
    private readonly FunctionExecutionDelegate _pipeline;

    public FunctionInvoker(IReadOnlyList<Func<FunctionExecutionDelegate, FunctionExecutionDelegate>> middleware)
    {
        FunctionExecutionDelegate pipeline = ExecuteAsync;
        for (var i = middleware.Count - 1; i >= 0; i--)
            pipeline = middleware[i](pipeline);
        _pipeline = pipeline;
    }

    public Task InvokeAsync(LocalFunctionContext context) => _pipeline(context);

    private static async Task ExecuteAsync(FunctionContext context)
    {
        var local = (LocalFunctionContext)context;
        local.Result.Value = await local.Function.InvokeAsync(local);
    }
}
