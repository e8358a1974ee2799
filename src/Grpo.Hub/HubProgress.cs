namespace Grpo.Hub;

/// <summary>How far the download of one file has come.</summary>
/// <param name="File">Its name in the repository.</param>
/// <param name="FileNumber">1 for the first file of this download.</param>
/// <param name="FileCount">Files known so far; it grows when an index names the parts of the weights.</param>
/// <param name="BytesReceived">Bytes on disk, those of an earlier, interrupted download included.</param>
/// <param name="BytesTotal">The file's size in bytes.</param>
public readonly record struct HubProgress(string File, int FileNumber, int FileCount, long BytesReceived, long BytesTotal);
