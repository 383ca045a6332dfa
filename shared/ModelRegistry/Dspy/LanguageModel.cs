using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Configuration;
using OpenAI;
using OpenAI.Chat;

namespace FunctionsRegistry.ModelRegistry.Dspy;

/// <summary>The language model behind programs.</summary>
/// <param name="BaseUrl"><c>DSPY_LM_BASE_URL</c>: an OpenAI-compatible endpoint such as https://api.openai.com/v1; null: none.</param>
/// <param name="ApiKey"><c>DSPY_LM_API_KEY</c>; empty for servers that ask for none.</param>
/// <param name="Model"><c>DSPY_LM_MODEL</c>.</param>
public sealed record LanguageModelOptions(Uri? BaseUrl, string ApiKey, string Model)
{
    /// <summary>Reads the settings named above.</summary>
    /// <exception cref="InvalidOperationException">One is wrong; the message names it.</exception>
    public static LanguageModelOptions FromConfiguration(IConfiguration configuration)
    {
        var (text, model) = (configuration["DSPY_LM_BASE_URL"], configuration["DSPY_LM_MODEL"] ?? "");
        Uri? url = null;
        if (!string.IsNullOrEmpty(text) && (!Uri.TryCreate(text, UriKind.Absolute, out url) || url.Scheme is not ("http" or "https") || url.UserInfo.Length > 0))
            throw new InvalidOperationException("DSPY_LM_BASE_URL must be a URL such as https://api.openai.com/v1, without user.");
        if (url is not null && model.Length == 0)
            throw new InvalidOperationException("DSPY_LM_BASE_URL is set, so DSPY_LM_MODEL must name a model of it.");
        return new LanguageModelOptions(url, configuration["DSPY_LM_API_KEY"] ?? "", model);
    }
}

/// <summary>An answer of the language model, and what it counted.</summary>
public sealed record Completion(string Text, long InputTokens, long OutputTokens);

/// <summary>The language model failed; the message is for callers and has no secret.</summary>
public sealed class LanguageModelException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>Calls the configured language model through the OpenAI client: two retries on 408, 429 and 5xx, Retry-After of up to 20 seconds honoured.</summary>
public sealed class LanguageModel : IDisposable
{
    private const int MaxAnswerChars = 4 << 20;
    private readonly HttpClient _http;
    private readonly ChatClient? _client;

    /// <summary>A client of its own; it has no timeout, every call's token ends.</summary>
    public LanguageModel(LanguageModelOptions options)
    {
        // Redirects would carry the key elsewhere.
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = TimeSpan.FromSeconds(10), PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        _http = new HttpClient(new BoundedAnswers { InnerHandler = handler }) { Timeout = Timeout.InfiniteTimeSpan };
        Model = options.Model;
        if (options.BaseUrl is null)
            return;
        var client = new OpenAIClientOptions
        {
            Endpoint = options.BaseUrl,
            Transport = new HttpClientPipelineTransport(_http),
            RetryPolicy = new Retries(),
            NetworkTimeout = Timeout.InfiniteTimeSpan,
        };
        // The client wants a key even for servers that do not.
        _client = new ChatClient(options.Model, new ApiKeyCredential(options.ApiKey.Length > 0 ? options.ApiKey : "none"), client);
    }

    /// <summary>Whether there is one.</summary>
    public bool IsConfigured => _client is not null;

    /// <summary>Its name.</summary>
    public string Model { get; }

    /// <summary>The answer to messages.</summary>
    /// <param name="onText">Told each part of the answer as it arrives; null: it is fetched in one piece.</param>
    /// <exception cref="LanguageModelException">It cannot be reached, refused, or answered nonsense.</exception>
    public async Task<Completion> CompleteAsync(IReadOnlyList<ChatMessage> messages, Func<string, ValueTask>? onText, CancellationToken cancellationToken)
    {
        if (_client is null)
            throw new LanguageModelException(DspyErrors.NotConfiguredText);
        var chat = messages.Select<ChatMessage, OpenAI.Chat.ChatMessage>(message => message.Role switch
        {
            "system" => new SystemChatMessage(message.Content),
            "assistant" => new AssistantChatMessage(message.Content),
            _ => new UserChatMessage(message.Content),
        }).ToList();
        try
        {
            return onText is null ? await CompleteAsync(_client, chat, cancellationToken) : await StreamAsync(_client, chat, onText, cancellationToken);
        }
        catch (ClientResultException exception) when (exception.Status != 0)
        {
            throw new LanguageModelException($"The language model answered {exception.Status}{Reason(exception)}", exception);
        }
        catch (Exception exception) when (exception is ClientResultException or HttpRequestException or IOException or AggregateException)
        {
            throw new LanguageModelException($"The language model cannot be reached, or broke off: {exception.GetBaseException().Message}", exception);
        }
        catch (Exception exception) when (exception is JsonException or FormatException or InvalidOperationException or ArgumentException or KeyNotFoundException or NullReferenceException)
        {
            // The client takes an answer apart on trust, so whatever it stumbles over is the server's doing.
            throw new LanguageModelException("The language model's answer is not what an OpenAI-compatible endpoint sends", exception);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private static async Task<Completion> CompleteAsync(ChatClient client, IEnumerable<OpenAI.Chat.ChatMessage> chat, CancellationToken cancellationToken)
    {
        ChatCompletion answer = await client.CompleteChatAsync(chat, cancellationToken: cancellationToken);
        return Checked(string.Concat(answer.Content.Select(part => part.Text)), answer.Usage);
    }

    private static async Task<Completion> StreamAsync(
        ChatClient client, IEnumerable<OpenAI.Chat.ChatMessage> chat, Func<string, ValueTask> onText, CancellationToken cancellationToken)
    {
        var text = new StringBuilder();
        ChatTokenUsage? usage = null;
        await foreach (var update in client.CompleteChatStreamingAsync(chat, cancellationToken: cancellationToken))
        {
            usage = update.Usage ?? usage;
            foreach (var part in update.ContentUpdate.Where(part => !string.IsNullOrEmpty(part.Text)))
            {
                text.Append(Storable(part.Text));
                await onText(Storable(part.Text));
            }
            if (text.Length > MaxAnswerChars)
                throw new LanguageModelException($"The language model's answer is longer than {MaxAnswerChars} characters");
        }
        return Checked(text.ToString(), usage);
    }

    private static Completion Checked(string text, ChatTokenUsage? usage) => string.IsNullOrWhiteSpace(text)
        ? throw new LanguageModelException("The language model's answer is empty")
        : new Completion(Storable(text), usage?.InputTokenCount ?? 0, usage?.OutputTokenCount ?? 0);

    // PostgreSQL has no NUL in text.
    private static string Storable(string text) => text.Replace('\0', '\uFFFD');

    // What the request was refused for helps its author; what is said of the key helps the wrong people.
    private static string Reason(ClientResultException exception)
    {
        if (exception.Status is 401 or 403 || exception.GetRawResponse() is not { } response)
            return "";
        try
        {
            using var document = JsonDocument.Parse(response.Content);
            return document.RootElement.GetProperty("error").GetProperty("message").GetString() is { Length: > 0 } reason ? $": {Storable(reason[..Math.Min(reason.Length, 300)])}" : "";
        }
        catch (Exception broken) when (broken is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return "";
        }
    }

    /// <summary>A server that wants a longer wait than a caller has is not asked again: the caller is told.</summary>
    private sealed class Retries() : ClientRetryPolicy(maxRetries: 2)
    {
        private const int MaxWaitSeconds = 20;

        protected override bool ShouldRetry(PipelineMessage message, Exception? exception) => !WantsLongWait(message) && base.ShouldRetry(message, exception);

        protected override async ValueTask<bool> ShouldRetryAsync(PipelineMessage message, Exception? exception) =>
            !WantsLongWait(message) && await base.ShouldRetryAsync(message, exception);

        // A date instead of seconds is as good as never used for this, and waits at most as long as the call may take.
        private static bool WantsLongWait(PipelineMessage message) =>
            message.Response is { } response && response.Headers.TryGetValue("Retry-After", out var text) && int.TryParse(text, out var seconds) && seconds > MaxWaitSeconds;
    }

    /// <summary>Ends a connection whose answer does not end: the client would read it whole into memory.</summary>
    private sealed class BoundedAnswers : DelegatingHandler
    {
        private const long MaxBytes = 32 << 20;

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var response = await base.SendAsync(request, cancellationToken);
            var bounded = new StreamContent(new Bounded(await response.Content.ReadAsStreamAsync(cancellationToken)));
            foreach (var header in response.Content.Headers.NonValidated)
                bounded.Headers.TryAddWithoutValidation(header.Key, header.Value);
            response.Content = bounded;
            return response;
        }

        private sealed class Bounded(Stream inner) : Stream
        {
            private long _left = MaxBytes;

            public override bool CanRead => true;

            public override bool CanSeek => false;

            public override bool CanWrite => false;

            public override long Length => throw new NotSupportedException();

            public override long Position
            {
                get => throw new NotSupportedException();
                set => throw new NotSupportedException();
            }

            public override int Read(byte[] buffer, int offset, int count) => Count(inner.Read(buffer, offset, count));

            public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
                Count(await inner.ReadAsync(buffer, cancellationToken));

            public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
                ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

            public override void Flush()
            {
            }

            public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

            public override void SetLength(long value) => throw new NotSupportedException();

            public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

            protected override void Dispose(bool disposing)
            {
                if (disposing)
                    inner.Dispose();
                base.Dispose(disposing);
            }

            private int Count(int read) => (_left -= read) >= 0 ? read : throw new LanguageModelException($"The language model's answer is longer than {MaxBytes} bytes");
        }
    }
}
