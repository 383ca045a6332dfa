namespace FunctionsRegistry.LocalRuntime.Durable;

internal abstract class LocalDurableTaskClient() : DurableTaskClient("");
