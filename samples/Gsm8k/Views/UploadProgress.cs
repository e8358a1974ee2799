using Grpo.Hub;
using Grpo.IO;

namespace Grpo.Samples.Gsm8k;

/// <summary>Prints a line for each tenth of the upload of a file.</summary>
internal sealed class UploadProgress : IProgress<HubUploadProgress>
{
    private readonly Lock _lock = new();
    private string _last = string.Empty;

    public void Report(HubUploadProgress value)
    {
        long tenth = value.BytesTotal > 0 ? 10 * (value.BytesSent * 10 / value.BytesTotal) : 100;
        string line = $"{TerminalText.EscapeLine(value.File)} ({value.FileNumber} of {value.FileCount}): "
            + $"{tenth} % of {value.BytesTotal / 1_000_000} MB";
        lock (_lock)
        {
            if (line != _last)
            {
                Console.Error.WriteLine(line);
                _last = line;
            }
        }
    }
}
