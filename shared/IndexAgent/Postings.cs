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

/// <summary>Reads what <see cref="PostingsWriter"/> wrote.</summary>
internal ref struct PostingsReader
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly bool _hasFields;
    private int _at;

    public PostingsReader(ReadOnlySpan<byte> bytes, bool hasFields)
    {
        _bytes = bytes;
        _hasFields = hasFields;
        Number = -1;
        Count = (int)ReadNumber();
    }

    /// <summary>How many sections or files have the term.</summary>
    public int Count { get; }

    /// <summary>The present section or file.</summary>
    public int Number { get; private set; }

    /// <summary>The present fields byte; 0 where the kind has none.</summary>
    public byte Fields { get; private set; }

    public bool Next()
    {
        if (_at >= _bytes.Length)
            return false;
        Number += (int)ReadNumber();
        if (_hasFields)
            Fields = _bytes[_at++];
        return true;
    }

    private uint ReadNumber()
    {
        uint value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var b = _bytes[_at++];
            value |= (uint)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
    }
}
