using Azure.Core;
using Azure.Identity;

namespace FunctionsRegistry.Tests.Identity;

/// <summary>Stands for Entra: gives the token at hand, or fails as an unreachable metadata service does.</summary>
internal sealed class FakeCredential : TokenCredential
{
    public AccessToken? Next { get; set; }

    public int Asked { get; private set; }

    public List<string> Scopes { get; } = [];

    public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken)
    {
        Asked++;
        Scopes.AddRange(requestContext.Scopes);
        return Next is { } token ? new(token) : throw new CredentialUnavailableException("The metadata service does not answer.");
    }

    public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken) => throw new NotSupportedException();
}

/// <summary>A clock that a test moves.</summary>
internal sealed class MovedTime : TimeProvider
{
    private TimeSpan _by;

    public void Move(TimeSpan by) => _by += by;

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + _by;
}
