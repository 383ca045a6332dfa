using FunctionsRegistry.Errors;
using FunctionsRegistry.Http;

namespace FunctionsRegistry.IndexAgent;

/// <summary>Fetches archives from URLs that users give.</summary>
public sealed class OutboundArchive(OutboundHttp outbound)
{
    /// <summary>A URL that may be fetched, as far as its text tells; its address is checked when it is connected to.</summary>
    /// <exception cref="RegistryException">422.</exception>
    public static Uri Check(string url) =>
        Uri.TryCreate(url, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri.Host.Length > 0 && uri.UserInfo.Length == 0 && url.Length <= 2000
            ? uri
            : throw IndexAgentErrors.Invalid(["body", "url"], "must be an absolute http or https URL without a user name, of at most 2000 characters");

    /// <summary>The body of a successful answer.</summary>
    /// <exception cref="HttpRequestException">Not reached, refused, or not a success.</exception>
    public async Task<Stream> OpenAsync(Uri url, CancellationToken cancellationToken)
    {
        var response = await outbound.FollowingClient.GetAsync(url, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        if (!response.IsSuccessStatusCode)
        {
            response.Dispose();
            throw new HttpRequestException($"the server answered {(int)response.StatusCode}");
        }
        return await response.Content.ReadAsStreamAsync(cancellationToken);
    }
}
