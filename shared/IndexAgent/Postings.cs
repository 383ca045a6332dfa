namespace FunctionsRegistry.IndexAgent;

/// <summary>
/// Where a term occurs: the count, then numbers of sections or files in rising order as differences (LEB128); for words one byte more each:
/// bit 0 in the symbol's name, bits 1-2 times in comments (at most 3), bits 3-7 times in code (at most 31).
/// </summary>
internal sealed class PostingsWriter(bool hasFields)
{
    private byte[] _bytes = new byte[8];
    private int _length;
    private int _last = -1;
    private int _count;

    /// <summary>The highest number so far; -1 at the start.</summary>
    public int Last => _last;

    public void Add(int number, byte fields)
    {
        if (_bytes.Length < _length + 6)
            Array.Resize(ref _bytes, _bytes.Length * 2);
        var delta = (uint)(number - _last);
        for (; delta >= 0x80; delta >>= 7)
            _bytes[_length++] = (byte)(delta | 0x80);
        _bytes[_length++] = (byte)delta;
        if (hasFields)
            _bytes[_length++] = fields;
        _last = number;
        _count++;
    }

    /// <summary>The finished list.</summary>
    public byte[] ToArray()
    {
        Span<byte> head = stackalloc byte[5];
        var headLength = 0;
        var count = (uint)_count;
        for (; count >= 0x80; count >>= 7)
            head[headLength++] = (byte)(count | 0x80);
        head[headLength++] = (byte)count;
        var bytes = new byte[headLength + _length];
        head[..headLength].CopyTo(bytes);
        _bytes.AsSpan(0, _length).CopyTo(bytes.AsSpan(headLength));
        return bytes;
    }

    /// <summary>The fields of a word as its byte.</summary>
    public static byte Fields(bool inName, int inComments, int inCode) =>
        (byte)((inName ? 1 : 0) | (Math.Min(inComments, 3) << 1) | (Math.Min(inCode, 31) << 3));
}

/// <summary>Walks along what <see cref="PostingsWriter"/> wrote.</summary>
internal struct PostingsCursor
{
    /// <summary>What <see cref="Number"/> is behind the last one.</summary>
    public const int End = int.MaxValue;

    private readonly byte[] _bytes;
    private readonly bool _hasFields;
    private int _at;

    /// <summary>Stands on the first section or file.</summary>
    public PostingsCursor(byte[] bytes, bool hasFields)
    {
        _bytes = bytes;
        _hasFields = hasFields;
        Count = (int)ReadNumber();
        Number = -1;
        Next();
    }

    /// <summary>How many sections or files have the term.</summary>
    public int Count { get; }

    /// <summary>The present section or file, or <see cref="End"/>.</summary>
    public int Number { get; private set; }

    /// <summary>The present fields byte; 0 where the kind has none.</summary>
    public byte Fields { get; private set; }

    /// <summary>How many sections or files have a term, without walking.</summary>
    public static int CountOf(byte[] bytes) => new PostingsCursor(bytes, hasFields: false).Count;

    public void Next()
    {
        if (_at >= _bytes.Length)
        {
            Number = End;
            return;
        }
        Number += (int)ReadNumber();
        if (_hasFields)
            Fields = _bytes[_at++];
    }

    private uint ReadNumber()
    {
        uint value = _bytes[_at++];
        if (value < 0x80)
            return value;
        value &= 0x7F;
        for (var shift = 7; ; shift += 7)
        {
            uint b = _bytes[_at++];
            value |= (b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
    }
}
