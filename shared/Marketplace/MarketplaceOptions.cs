using Microsoft.Extensions.Configuration;

namespace FunctionsRegistry.Marketplace;

/// <summary>Limits and addresses of the marketplace.</summary>
/// <param name="WebUrl"><c>Marketplace__WebUrl</c>: base of the page address in a publish answer; https://agentx.dev as in the contract.</param>
/// <param name="MaxTarballBytes"><c>Marketplace__MaxTarballMegabytes</c>: 50.</param>
/// <param name="MaxReadmeCharacters">512 k.</param>
/// <param name="TokenLifetime"><c>Marketplace__TokenDays</c>: 365.</param>
public sealed record MarketplaceOptions(string WebUrl, long MaxTarballBytes, int MaxReadmeCharacters, TimeSpan TokenLifetime)
{
    /// <summary>Reads the settings named above.</summary>
    public static MarketplaceOptions FromConfiguration(IConfiguration configuration) => new(
        (configuration["Marketplace:WebUrl"] ?? "https://agentx.dev").TrimEnd('/'),
        configuration.GetValue("Marketplace:MaxTarballMegabytes", 50L) << 20,
        512 << 10,
        TimeSpan.FromDays(configuration.GetValue("Marketplace:TokenDays", 365)));
}

/// <summary>Sign-in through GitHub.</summary>
/// <param name="ClientId"><c>GitHub__ClientId</c>; null: no sign-in, except the local runtime's development page.</param>
/// <param name="ClientSecret"><c>GitHub__ClientSecret</c>.</param>
/// <param name="WebUrl"><c>GitHub__WebUrl</c>: https://github.com.</param>
/// <param name="ApiUrl"><c>GitHub__ApiUrl</c>: https://api.github.com.</param>
/// <param name="RedirectOrigins"><c>GitHub__RedirectOrigins</c>: origins beside loopback that redirect_uri may have, comma separated.</param>
public sealed record GitHubOptions(string? ClientId, string? ClientSecret, Uri WebUrl, Uri ApiUrl, IReadOnlyList<string> RedirectOrigins)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">A client id without its secret.</exception>
    public static GitHubOptions FromConfiguration(IConfiguration configuration)
    {
        var (id, secret) = (configuration["GitHub:ClientId"], configuration["GitHub:ClientSecret"]);
        if (string.IsNullOrEmpty(id) != string.IsNullOrEmpty(secret))
            throw new InvalidOperationException("GitHub__ClientId and GitHub__ClientSecret must be set together.");
        return new GitHubOptions(
            string.IsNullOrEmpty(id) ? null : id,
            string.IsNullOrEmpty(secret) ? null : secret,
            new Uri((configuration["GitHub:WebUrl"] ?? "https://github.com").TrimEnd('/') + "/"),
            new Uri((configuration["GitHub:ApiUrl"] ?? "https://api.github.com").TrimEnd('/') + "/"),
            (configuration["GitHub:RedirectOrigins"] ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }
}
