using System.Text;
using FunctionsRegistry.Functions.Http;

namespace FunctionsRegistry.Functions.ModelRegistry;

/// <summary>
/// An answer as server-sent events, each written out at once. What fails before the first event is answered as any error is. It has no public
/// properties on purpose, as <see cref="JsonBody"/>.
/// </summary>
/// <param name="write">Writes the events; told how to write one, without or with a name.</param>
public sealed class EventsBody(Func<Func<string?, byte[], ValueTask>, CancellationToken, Task> write) : IResult
{
    /// <inheritdoc/>
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-store";
        // For proxies that would collect events until there are many.
        response.Headers["X-Accel-Buffering"] = "no";
        await write(WriteAsync, httpContext.RequestAborted);

        async ValueTask WriteAsync(string? name, byte[] data)
        {
            if (name is not null)
                await response.Body.WriteAsync(Encoding.ASCII.GetBytes($"event: {name}\n"), httpContext.RequestAborted);
            await response.Body.WriteAsync("data: "u8.ToArray(), httpContext.RequestAborted);
            await response.Body.WriteAsync(data, httpContext.RequestAborted);
            await response.Body.WriteAsync("\n\n"u8.ToArray(), httpContext.RequestAborted);
            await response.Body.FlushAsync(httpContext.RequestAborted);
        }
    }
}
