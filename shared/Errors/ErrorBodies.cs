using System.Buffers;
using System.Text.Json;

namespace FunctionsRegistry.Errors;

/// <summary>The contract a function belongs to: it decides the shape of errors, the way callers prove themselves and the default rate limit.</summary>
public enum Family
{
    /// <summary>The app's own pages; errors as the FastAPI families'.</summary>
    Platform,

    /// <summary>spec-agentx.md.</summary>
    AgentX,

    /// <summary>spec-dhg.md.</summary>
    Dhg,

    /// <summary>spec-hokusai.md.</summary>
    Hokusai,

    /// <summary>The MLflow REST routes of spec-hokusai.md.</summary>
    Mlflow,

    /// <summary>spec-dean.md, port 8081.</summary>
    IndexAgent,

    /// <summary>spec-dean.md, port 8080.</summary>
    Airflow,

    /// <summary>spec-dean.md, port 8083.</summary>
    Evolution,
}

/// <summary>An error as it goes over the wire.</summary>
public sealed record ErrorBody(int Status, string ContentType, byte[] Bytes);

/// <summary>Turns an error into the status and bytes of a family. Pure: no HTTP types, so every shape is tested as a function.</summary>
public static class ErrorBodies
{
    private const string Json = "application/json; charset=utf-8";
    private const string Problem = "application/problem+json; charset=utf-8";

    private static readonly JsonWriterOptions s_writerOptions = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The body of a family; with <paramref name="asProblem"/> RFC 9457 in any family, with the same status and request id.</summary>
    public static ErrorBody Create(Family family, RegistryException error, string requestId, bool asProblem)
    {
        // A defect's message describes our insides; the id finds it in the log.
        var message = error.Kind == ErrorKind.Internal ? "Internal server error" : error.Message;
        var status = Status(family, error.Kind);
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, s_writerOptions))
        {
            writer.WriteStartObject();
            if (asProblem || family == Family.Airflow)
                WriteProblem(writer, error, message, status);
            else if (family == Family.AgentX)
                WriteAgentX(writer, error, message);
            else if (family == Family.Mlflow)
                WriteMlflow(writer, error, message);
            else
                WriteFastApi(writer, error, message);
            writer.WriteString("request_id", requestId);
            writer.WriteEndObject();
        }
        return new ErrorBody(status, asProblem || family == Family.Airflow ? Problem : Json, buffer.WrittenSpan.ToArray());
    }

    /// <summary>The HTTP status of a kind; only validation differs by family.</summary>
    public static int Status(Family family, ErrorKind kind) => kind switch
    {
        ErrorKind.BadRequest => 400,
        ErrorKind.Validation => family is Family.AgentX or Family.Airflow or Family.Mlflow ? 400 : 422,
        ErrorKind.Unauthorized => 401,
        ErrorKind.Forbidden => 403,
        ErrorKind.NotFound or ErrorKind.RouteNotFound => 404,
        // MLflow's clients know RESOURCE_ALREADY_EXISTS as a 400 (mlflow/exceptions.py).
        ErrorKind.Conflict => family == Family.Mlflow ? 400 : 409,
        ErrorKind.Gone => 410,
        ErrorKind.PreconditionFailed => 412,
        ErrorKind.TooLarge => 413,
        ErrorKind.UnsupportedMediaType => 415,
        ErrorKind.RateLimited => 429,
        ErrorKind.BadGateway => 502,
        ErrorKind.GatewayTimeout => 504,
        ErrorKind.Unavailable => 503,
        _ => 500,
    };

    // {"error", "details"?, "message"}: `message` repeats them because the real command-line client prints only that.
    private static void WriteAgentX(Utf8JsonWriter writer, RegistryException error, string message)
    {
        writer.WriteString("error", message);
        if (error.Fields.Count > 0)
        {
            writer.WriteStartArray("details");
            foreach (var field in error.Fields)
                writer.WriteStringValue(field.Message);
            writer.WriteEndArray();
        }
        writer.WriteString("message", error.Fields.Count == 0 ? message : message + ": " + string.Join("; ", error.Fields.Select(field => field.Message)));
    }

    private static void WriteFastApi(Utf8JsonWriter writer, RegistryException error, string message)
    {
        if (error.Fields.Count == 0)
        {
            writer.WriteString("detail", message);
            return;
        }
        writer.WriteStartArray("detail");
        WriteFields(writer, error.Fields);
        writer.WriteEndArray();
    }

    private static void WriteProblem(Utf8JsonWriter writer, RegistryException error, string message, int status)
    {
        // Airflow's clients show the detail and nothing else.
        writer.WriteString("detail", error.Fields.Count == 0 ? message : message + ": " + string.Join("; ", error.Fields.Select(Describe)));
        if (error.Fields.Count > 0)
        {
            writer.WriteStartArray("errors");
            WriteFields(writer, error.Fields);
            writer.WriteEndArray();
        }
        writer.WriteNumber("status", status);
        writer.WriteString("title", Title(status));
        writer.WriteString("type", "about:blank");
    }

    private static void WriteMlflow(Utf8JsonWriter writer, RegistryException error, string message)
    {
        writer.WriteString("error_code", error.Kind switch
        {
            ErrorKind.BadRequest or ErrorKind.Validation or ErrorKind.UnsupportedMediaType or ErrorKind.TooLarge => "INVALID_PARAMETER_VALUE",
            ErrorKind.Unauthorized => "UNAUTHENTICATED",
            ErrorKind.Forbidden => "PERMISSION_DENIED",
            ErrorKind.RouteNotFound => "ENDPOINT_NOT_FOUND",
            ErrorKind.NotFound or ErrorKind.Gone => "RESOURCE_DOES_NOT_EXIST",
            ErrorKind.Conflict => "RESOURCE_ALREADY_EXISTS",
            ErrorKind.PreconditionFailed => "INVALID_STATE",
            ErrorKind.RateLimited => "REQUEST_LIMIT_EXCEEDED",
            ErrorKind.Unavailable or ErrorKind.BadGateway or ErrorKind.GatewayTimeout => "TEMPORARILY_UNAVAILABLE",
            _ => "INTERNAL_ERROR",
        });
        // What is answered before or instead of MLflow also has the form of the contract around it (spec-hokusai.md, "Error Responses").
        if (error.Kind is ErrorKind.Unauthorized or ErrorKind.Forbidden or ErrorKind.RateLimited or ErrorKind.Unavailable or ErrorKind.BadGateway
            or ErrorKind.GatewayTimeout)
            writer.WriteString("detail", message);
        writer.WriteString("message", error.Fields.Count == 0 ? message : message + ": " + string.Join("; ", error.Fields.Select(field => field.Message)));
    }

    private static string Describe(FieldError field) => $"{string.Join('.', field.Location)} {field.Message}";

    private static void WriteFields(Utf8JsonWriter writer, IReadOnlyList<FieldError> fields)
    {
        foreach (var field in fields)
        {
            writer.WriteStartObject();
            writer.WriteStartArray("loc");
            foreach (var segment in field.Location)
            {
                if (segment is int index)
                    writer.WriteNumberValue(index);
                else
                    writer.WriteStringValue((string)segment);
            }
            writer.WriteEndArray();
            writer.WriteString("msg", field.Message);
            writer.WriteString("type", field.Type);
            writer.WriteEndObject();
        }
    }

    private static string Title(int status) => status switch
    {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    };
}
