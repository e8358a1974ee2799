namespace Grpo.Hub;

/// <summary>What the hub says of a file before it is downloaded.</summary>
/// <param name="Name">Its path in the repository.</param>
/// <param name="Hash">SHA-256 of the content (64 digits), or the SHA-1 by which git names it (40 digits); also its name in the cache.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Validator">The ETag of the very address that was asked, for If-Range; null when the content lies elsewhere.</param>
internal sealed record HubFileInfo(string Name, string Hash, long Size, string? Validator);
