using System.Security.Cryptography;
using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Postgres;
using Microsoft.Net.Http.Headers;

namespace FunctionsRegistry.Functions.Http;

/// <summary>
/// <c>Idempotency-Key</c> on POST and PUT: the same key and request replay the stored answer, another request is refused, a concurrent duplicate waits.
/// Only successes are stored: a request that failed changed nothing and may be sent again with the same key. Functions with bodies of any length do
/// without it: they store bytes under a name that the client gave, which is the same however often it happens.
/// </summary>
public sealed partial class IdempotencyMiddleware(
    IdempotencyStore store, ClientAddress clientAddress, TimeProvider time, ILogger<IdempotencyMiddleware> logger) : IFunctionsWorkerMiddleware
{
    private const string Header = "Idempotency-Key";
    private const int NonceBytes = 12;
    private const int TagBytes = 16;
    private static readonly TimeSpan s_waitAtMost = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_pollEvery = TimeSpan.FromMilliseconds(50);

    /// <inheritdoc/>
    public Task Invoke(FunctionContext context, FunctionExecutionDelegate next)
    {
        var rules = FunctionRules.Of(context);
        return rules is { IsHttp: true, HasUnlimitedBody: false } && context.GetHttpContext() is { } http && http.Request.Headers.ContainsKey(Header)
            && (HttpMethods.IsPost(http.Request.Method) || HttpMethods.IsPut(http.Request.Method))
                ? InvokeOnceAsync(context, http, next)
                : next(context);
    }

    private async Task InvokeOnceAsync(FunctionContext context, HttpContext http, FunctionExecutionDelegate next)
    {
        var key = http.Request.Headers[Header].ToString();
        if (key.Length is 0 or > 255 || key.Any(c => c is < ' ' or > '~'))
            throw CommonErrors.InvalidIdempotencyKey();
        var state = http.GetState();
        var caller = state.Caller is { IsPersonal: true } personal ? personal.Id.ToString() : clientAddress.Of(http);
        var id = SHA256.HashData(Encoding.UTF8.GetBytes($"{http.Request.Method} {http.Request.Path}\n{caller}\n{key}"));
        var fingerprint = await FingerprintAsync(http.Request, http.RequestAborted);

        var (claim, answer) = await ClaimOrWaitAsync(id, fingerprint, state.Family, http.RequestAborted);
        if (answer is null)
            await RunAndStoreAsync(context, http, id, claim, key, next);
        else
            await ReplayAsync(http.Response, answer with { Body = Decrypt(answer.Body, key, id) }, http.RequestAborted);
    }

    private async Task<(Guid Claim, StoredAnswer? Answer)> ClaimOrWaitAsync(byte[] id, byte[] fingerprint, Family family, CancellationToken cancellationToken)
    {
        var giveUpAt = time.GetUtcNow() + s_waitAtMost;
        while (true)
        {
            var found = await store.ClaimAsync(id, fingerprint, cancellationToken);
            if (found.Claim is { } claim)
                return (claim, null);
            if (!found.SameRequest)
                throw CommonErrors.IdempotencyKeyReused(family);
            if (found.Answer is not null)
                return (Guid.Empty, found.Answer);
            if (time.GetUtcNow() >= giveUpAt)
                throw CommonErrors.IdempotencyKeyBusy();
            await Task.Delay(s_pollEvery, time, cancellationToken);
        }
    }

    private async Task RunAndStoreAsync(FunctionContext context, HttpContext http, byte[] id, Guid claim, string key, FunctionExecutionDelegate next)
    {
        var original = http.Response.Body;
        using var buffer = new MemoryStream();
        using var ended = new CancellationTokenSource();
        http.Response.Body = buffer;
        var renewal = RenewAsync(id, claim, ended.Token);
        var stored = false;
        try
        {
            await next(context);
            await ErrorBoundaryMiddleware.ExecuteResultAsync(context, http);
            if (http.Response.StatusCode is >= 200 and < 300)
            {
                // The effect is there whether or not the client still listens, so the answer is stored in any case.
                var body = Encrypt(buffer.ToArray(), key, id);
                await store.CompleteAsync(id, claim, new(http.Response.StatusCode, http.Response.ContentType, http.Response.Headers.Location, body), CancellationToken.None);
                stored = true;
            }
        }
        finally
        {
            http.Response.Body = original;
            await ended.CancelAsync();
            await renewal;
            if (!stored)
                await store.ReleaseAsync(id, claim, CancellationToken.None);
        }
        buffer.Position = 0;
        await buffer.CopyToAsync(original, http.RequestAborted);
    }

    private async Task RenewAsync(byte[] id, Guid claim, CancellationToken ended)
    {
        try
        {
            while (true)
            {
                await Task.Delay(IdempotencyStore.RenewEvery, time, ended);
                await store.RenewAsync(id, claim, ended);
            }
        }
        catch (OperationCanceledException)
        {
            // The request is done.
        }
        catch (Exception exception) when (PostgresErrors.Translate(exception) is not null)
        {
            // The request itself will tell; two minutes on, its key is free again.
            LogNotRenewed(exception.Message);
        }
    }

    private static async Task ReplayAsync(HttpResponse response, StoredAnswer answer, CancellationToken cancellationToken)
    {
        response.StatusCode = answer.Status;
        response.Headers["Idempotent-Replayed"] = "true";
        if (answer.ContentType is not null)
            response.ContentType = answer.ContentType;
        if (answer.Location is not null)
            response.Headers.Location = answer.Location;
        if (answer.Body.Length == 0)
            return;
        response.ContentLength = answer.Body.Length;
        await response.Body.WriteAsync(answer.Body, cancellationToken);
    }

    // Answers may show a secret once (a new key, a sign-in's state). Only who knows the Idempotency-Key, which is not stored, can read them again.
    // Nonce, tag, cipher text.
    private static byte[] Encrypt(byte[] plain, string key, byte[] id)
    {
        var body = new byte[NonceBytes + TagBytes + plain.Length];
        RandomNumberGenerator.Fill(body.AsSpan(0, NonceBytes));
        using var cipher = CreateCipher(key, id);
        cipher.Encrypt(body.AsSpan(0, NonceBytes), plain, body.AsSpan(NonceBytes + TagBytes), body.AsSpan(NonceBytes, TagBytes));
        return body;
    }

    private static byte[] Decrypt(byte[] body, string key, byte[] id)
    {
        var plain = new byte[body.Length - NonceBytes - TagBytes];
        using var cipher = CreateCipher(key, id);
        cipher.Decrypt(body.AsSpan(0, NonceBytes), body.AsSpan(NonceBytes + TagBytes), body.AsSpan(NonceBytes, TagBytes), plain);
        return plain;
    }

    private static AesGcm CreateCipher(string key, byte[] id) =>
        new(HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(key), 32, id), TagBytes);

    // The body is read once here and once by the function, so it goes to a temporary file when it is large. A multipart body is
    // hashed part by part: every client chooses a new boundary each time it sends the same form.
    private static async Task<byte[]> FingerprintAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        request.EnableBuffering();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var type = MediaTypeHeaderValue.TryParse(request.ContentType, out var parsed) ? parsed.MediaType.ToString() : request.ContentType;
        hash.AppendData(Encoding.UTF8.GetBytes($"{request.QueryString}\n{type}\n"));
        if (type?.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase) == true)
        {
            await foreach (var (field, body) in MultipartForm.ReadAsync(request, cancellationToken))
            {
                hash.AppendData(Encoding.UTF8.GetBytes($"\n{field}\n"));
                await HashAsync(body, hash, cancellationToken);
            }
        }
        else
        {
            await HashAsync(request.Body, hash, cancellationToken);
        }
        request.Body.Position = 0;
        return hash.GetHashAndReset();
    }

    private static async Task HashAsync(Stream stream, IncrementalHash hash, CancellationToken cancellationToken)
    {
        var chunk = new byte[64 * 1024];
        int count;
        while ((count = await stream.ReadAsync(chunk, cancellationToken)) > 0)
            hash.AppendData(chunk.AsSpan(0, count));
    }

    [LoggerMessage(2003, LogLevel.Warning, "The claim of a running request on its Idempotency-Key could not be renewed: {Reason}")]
    private partial void LogNotRenewed(string reason);
}
