namespace FunctionsRegistry.Functions.Http;

/// <summary>On a function: its query parameters, such as <c>"q: string(1..1000), limit?: integer(1..100)"</c>, in the notation of OpenApi.FieldNotation.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class QueryAttribute(string fields) : Attribute
{
    /// <summary>The parameters.</summary>
    public string Fields => fields;
}

/// <summary>On a function: a request body that it takes; one per content type.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class BodyAttribute : Attribute
{
    /// <summary>A JSON object or a form with these fields, in the notation of OpenApi.FieldNotation; <c>binary</c> alone for bytes.</summary>
    public BodyAttribute(string fields) => Fields = fields;

    /// <summary>A record that its slice's JSON context knows.</summary>
    public BodyAttribute(Type record) => Record = record;

    /// <summary>The fields, or null where a record says it.</summary>
    public string? Fields { get; }

    /// <summary>The record, or null where fields say it.</summary>
    public Type? Record { get; }

    /// <summary>How it comes.</summary>
    public string ContentType { get; init; } = "application/json";

    /// <summary>Whether the request may come without.</summary>
    public bool IsOptional { get; init; }
}

/// <summary>On a function: an answer that is no error; one per status and content type. A test calls every operation and compares.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class AnswersAttribute : Attribute
{
    /// <summary>JSON of a record that its slice's context knows.</summary>
    public AnswersAttribute(Type record, int status = 200) => (Record, Status) = (record, status);

    /// <summary>Another content type.</summary>
    public AnswersAttribute(string contentType, int status = 200) => (ContentType, Status) = (contentType, status);

    /// <summary>No body.</summary>
    public AnswersAttribute(int status) => (ContentType, Status) = (null, status);

    /// <summary>The record, or null.</summary>
    public Type? Record { get; }

    /// <summary>The content type, or null where there is no body.</summary>
    public string? ContentType { get; } = "application/json";

    /// <summary>The status.</summary>
    public int Status { get; }
}

/// <summary>On a function class: every function is one of another class under a second route, told by its name: the other's with something put in.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class SameOperationsAttribute(string inserted) : Attribute
{
    /// <summary>What the names have more than those of the functions described.</summary>
    public string Inserted => inserted;
}

/// <summary>On a function that is no operation of a contract (a redirect, a page, the catch-all): not described.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class UndescribedAttribute : Attribute;
