using System.Security.Cryptography;
using System.Text;
using FunctionsRegistry.Errors;
using FunctionsRegistry.Postgres;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace FunctionsRegistry.Functions.Http;

/// <summary>
/// <c>Idempotency-Key</c> on POST and PUT: the same key and body replay the stored answer, another body is refused, a concurrent duplicate waits.
/// Only successes are stored: a request that failed changed nothing and may be sent again with the same key.
/// </summary>
public sealed class IdempotencyMiddleware(IdempotencyStore store, ClientAddress clientAddress, TimeProvider time) : IFunctionsWorkerMiddleware
{
    private const string Header = "Idempotency-Key";
    private static readonly TimeSpan s_waitAtMost = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_pollEvery = TimeSpan.FromMilliseconds(50);

    /// <inheritdoc/>
    public Task Invoke(FunctionContext context, FunctionExecutionDelegate next) =>
        FunctionRules.Of(context).IsHttp && context.GetHttpContext() is { } http && http.Request.Headers.ContainsKey(Header)
            && (HttpMethods.IsPost(http.Request.Method) || HttpMethods.IsPut(http.Request.Method))
                ? InvokeOnceAsync(context, http, next)
                : next(context);

    private async Task InvokeOnceAsync(FunctionContext context, HttpContext http, FunctionExecutionDelegate next)
    {
        var key = http.Request.Headers[Header].ToString();
        if (key.Length is 0 or > 255 || key.Any(c => c is < ' ' or > '~'))
            throw CommonErrors.InvalidIdempotencyKey();
        var state = http.GetState();
        var caller = state.Caller?.Id.ToString() ?? clientAddress.Of(http);
        var id = SHA256.HashData(Encoding.UTF8.GetBytes($"{http.Request.Method} {http.Request.Path}\n{caller}\n{key}"));
        var fingerprint = await FingerprintAsync(http.Request, http.RequestAborted);

        if (await ClaimOrWaitAsync(id, fingerprint, state.Family, http.RequestAborted) is { } answer)
            await ReplayAsync(http.Response, answer, http.RequestAborted);
        else
            await RunAndStoreAsync(context, http, id, next);
    }

    private async Task<StoredAnswer?> ClaimOrWaitAsync(byte[] id, byte[] fingerprint, Family family, CancellationToken cancellationToken)
    {
        var giveUpAt = time.GetUtcNow() + s_waitAtMost;
        while (true)
        {
            var claim = await store.ClaimAsync(id, fingerprint, cancellationToken);
            if (claim.Claimed)
                return null;
            if (!claim.SameRequest)
                throw CommonErrors.IdempotencyKeyReused(family);
            if (claim.Answer is not null)
                return claim.Answer;
            if (time.GetUtcNow() >= giveUpAt)
                throw CommonErrors.IdempotencyKeyBusy();
            await Task.Delay(s_pollEvery, time, cancellationToken);
        }
    }

    private async Task RunAndStoreAsync(FunctionContext context, HttpContext http, byte[] id, FunctionExecutionDelegate next)
    {
        var original = http.Response.Body;
        using var buffer = new MemoryStream();
        http.Response.Body = buffer;
        var stored = false;
        try
        {
            await next(context);
            await ErrorBoundaryMiddleware.ExecuteResultAsync(context, http);
            if (http.Response.StatusCode is >= 200 and < 300)
            {
                // The effect is there whether or not the client still listens, so the answer is stored in any case.
                var answer = new StoredAnswer(http.Response.StatusCode, http.Response.ContentType, http.Response.Headers.Location, buffer.ToArray());
                await store.CompleteAsync(id, answer, CancellationToken.None);
                stored = true;
            }
        }
        finally
        {
            http.Response.Body = original;
            if (!stored)
                await store.ReleaseAsync(id, CancellationToken.None);
        }
        buffer.Position = 0;
        await buffer.CopyToAsync(original, http.RequestAborted);
    }

    private static async Task ReplayAsync(HttpResponse response, StoredAnswer answer, CancellationToken cancellationToken)
    {
        response.StatusCode = answer.Status;
        response.Headers["Idempotent-Replayed"] = "true";
        if (answer.ContentType is not null)
            response.ContentType = answer.ContentType;
        if (answer.Location is not null)
            response.Headers.Location = answer.Location;
        response.ContentLength = answer.Body.Length;
        await response.Body.WriteAsync(answer.Body, cancellationToken);
    }

    // The body is read once here and once by the function, so it goes to a temporary file when it is large. A multipart body is
    // hashed part by part: every client chooses a new boundary each time it sends the same form.
    private static async Task<byte[]> FingerprintAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        RequestBody.SetLimit(request, request.HasFormContentType ? RequestBody.UploadLimitBytes : RequestBody.JsonLimitBytes);
        request.EnableBuffering();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (MediaTypeHeaderValue.TryParse(request.ContentType, out var type) && type.Boundary.Length > 0)
        {
            var reader = new MultipartReader(HeaderUtilities.RemoveQuotes(type.Boundary).ToString(), request.Body) { BodyLengthLimit = null };
            while (await MultipartForm.NextAsync(reader, cancellationToken) is { } section)
            {
                hash.AppendData(Encoding.UTF8.GetBytes($"\n{section.ContentDisposition}\n"));
                await HashAsync(section.Body, hash, cancellationToken);
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
}
