using System.Runtime.InteropServices;
using System.Text;

namespace FunctionsRegistry.Evolution;

/// <summary>An objective as bytes, bit for bit the same when read again.</summary>
internal static class ObjectiveFile
{
    private const byte Format = 1;

    public static byte[] Write(Objective objective)
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes, Encoding.UTF8);
        writer.Write(Format);
        writer.Write(objective.Corpus);
        Write(writer, objective.Queries);
        Write(writer, objective.HeldOut);
        writer.Flush();
        return bytes.ToArray();
    }

    public static Objective Read(byte[] bytes)
    {
        using var reader = new BinaryReader(new MemoryStream(bytes), Encoding.UTF8);
        if (reader.ReadByte() is var format && format != Format)
            throw new InvalidDataException($"An objective of format {format} was written by another version.");
        return new Objective(reader.ReadString(), ReadQueries(reader), ReadQueries(reader));
    }

    private static void Write(BinaryWriter writer, IReadOnlyList<ObjectiveQuery> queries)
    {
        writer.Write(queries.Count);
        foreach (var query in queries)
        {
            writer.Write(query.Text);
            writer.Write(query.Answer);
            writer.Write(query.Applicable);
            writer.Write(query.Features.Length);
            writer.Write(MemoryMarshal.AsBytes(query.Features.AsSpan()));
        }
    }

    private static ObjectiveQuery[] ReadQueries(BinaryReader reader)
    {
        var queries = new ObjectiveQuery[reader.ReadInt32()];
        for (var i = 0; i < queries.Length; i++)
        {
            var (text, answer, applicable) = (reader.ReadString(), reader.ReadInt32(), reader.ReadInt32());
            var features = new float[reader.ReadInt32()];
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(features.AsSpan()));
            queries[i] = new ObjectiveQuery(text, answer, applicable, features);
        }
        return queries;
    }
}
