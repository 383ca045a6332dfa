using FunctionsRegistry.Functions;

// The same lines for both runtimes; which one it is was decided by the project file.
return await RegistryCommands.RunAsync(args, () =>
{
    var builder = FunctionsApplication.CreateBuilder(args);
    builder.ConfigureFunctionsWebApplication();
    builder.AddRegistry();
    return builder.Build();
});
