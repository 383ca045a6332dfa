using FunctionsRegistry.Functions;

// The same lines for both runtimes; which one it is was decided by the project file.
var builder = FunctionsApplication.CreateBuilder(args);
builder.ConfigureFunctionsWebApplication();
builder.AddRegistry();
using var host = builder.Build();
return await RegistryCommands.RunAsync(host, args);
