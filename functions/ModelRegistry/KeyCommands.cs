using System.Globalization;
using FunctionsRegistry.Errors;
using FunctionsRegistry.ModelRegistry;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>
/// The <c>keys</c> command, for the first key and for machines without the admin key:
/// <c>keys create --name NAME [--environment test] [--scope S]... [--rate-limit N] [--expires-in-days N] [--allowed-ip A]...</c>, <c>keys list</c>,
/// <c>keys revoke ID</c>, <c>keys rotate ID</c>.
/// </summary>
public static class KeyCommands
{
    private const string Usage =
        "keys create --name NAME [--environment production|test|development] [--scope S]... [--rate-limit PER_HOUR] [--expires-in-days N] [--allowed-ip ADDRESS]... | "
        + "keys list | keys revoke ID | keys rotate ID";

    /// <summary>Runs one command; a key goes to the output alone, everything else to the error output. Returns the exit code.</summary>
    public static async Task<int> RunAsync(IServiceProvider services, string[] args, TextWriter output, TextWriter errors)
    {
        var (service, store) = (services.GetRequiredService<ApiKeyService>(), services.GetRequiredService<ApiKeyStore>());
        try
        {
            switch (args)
            {
                case ["create", .. var options]:
                    await ShowAsync(await service.CreateAsync(Read(options), CancellationToken.None), output, errors);
                    return 0;
                case ["rotate", var id] when Guid.TryParse(id, out var parsed):
                    await ShowAsync(await service.RotateAsync(parsed, CancellationToken.None), output, errors);
                    return 0;
                case ["revoke", var id] when Guid.TryParse(id, out var parsed):
                    if (!await store.RevokeAsync(parsed, CancellationToken.None))
                        throw ApiKeyErrors.KeyNotFound();
                    await output.WriteLineAsync($"revoked {parsed}");
                    return 0;
                case ["list"]:
                    foreach (var key in (await store.ListAsync(activeOnly: false, null, 10_000, CancellationToken.None)).Keys)
                        await output.WriteLineAsync(
                            $"{key.KeyId}  {key.KeyPrefix}...  {(key.IsActive ? "active " : "ended  ")}  {key.RateLimitPerHour}/h  {string.Join(',', key.Scopes)}  {key.Name}");
                    return 0;
                default:
                    await errors.WriteLineAsync(Usage);
                    return 2;
            }
        }
        catch (RegistryException exception)
        {
            var fields = exception.Fields.Select(field => $"{string.Join('.', field.Location.Skip(1))}: {field.Message}");
            await errors.WriteLineAsync(string.Join("; ", exception.Fields.Count == 0 ? [exception.Message] : fields));
            return 1;
        }
        catch (FormatException exception)
        {
            await errors.WriteLineAsync($"{exception.Message} Usage: {Usage}");
            return 2;
        }
    }

    private static async Task ShowAsync((string Key, ApiKeySummary Summary) made, TextWriter output, TextWriter errors)
    {
        await output.WriteLineAsync(made.Key);
        await errors.WriteLineAsync($"key {made.Summary.KeyId} '{made.Summary.Name}' ({string.Join(", ", made.Summary.Scopes)}); it is not shown again");
    }

    private static NewApiKey Read(string[] options)
    {
        var key = new NewApiKey("");
        for (var i = 0; i < options.Length; i += 2)
        {
            if (i + 1 == options.Length)
                throw new FormatException($"{options[i]} needs a value.");
            var value = options[i + 1];
            key = options[i] switch
            {
                "--name" => key with { Name = value },
                "--environment" => key with { Environment = value },
                "--rate-limit" => key with { RateLimitPerHour = Number(options[i], value) },
                "--expires-in-days" => key with { ExpiresInDays = Number(options[i], value) },
                "--allowed-ip" => key with { AllowedIps = [.. key.AllowedIps ?? [], value] },
                "--scope" => key with { Scopes = [.. key.Scopes ?? [], value] },
                _ => throw new FormatException($"Unknown option {options[i]}."),
            };
        }
        return key;
    }

    private static int Number(string option, string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
        ? number
        : throw new FormatException($"{option} needs a whole number.");
}
