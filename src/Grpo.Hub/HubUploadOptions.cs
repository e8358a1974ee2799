namespace Grpo.Hub;

/// <summary>The options of <see cref="HubUpload"/>.</summary>
public sealed class HubUploadOptions
{
    /// <summary>
    /// The connection: endpoint, token, retries, time limits and logger. <see cref="HubOptions.Revision"/> is the branch to commit to.
    /// </summary>
    /// <value>Default: the environment variables of Python's huggingface_hub, and the branch "main".</value>
    public HubOptions Connection { get; set; } = new();

    /// <summary>
    /// True if the repository must be private. A new one is created private. An existing public one is refused before any file is sent.
    /// </summary>
    /// <value>Default false: a new repository gets the account's default, usually public, and an existing one stays as it is.</value>
    public bool Private { get; set; }

    /// <summary>The first line of the commit message.</summary>
    /// <value>1 to 200 characters; default "Upload a model trained with Grpo".</value>
    public string CommitMessage { get; set; } = "Upload a model trained with Grpo";

    /// <summary>The commit that must be the newest one of the branch. The upload is refused if another commit follows it.</summary>
    /// <value>40 hexadecimal digits; default null: the newest commit, whichever it is.</value>
    public string? ParentCommit { get; set; }

    /// <summary>True to open a pull request with the commit, instead of committing to the branch.</summary>
    /// <value>Default false.</value>
    public bool CreatePullRequest { get; set; }

    /// <summary>
    /// The patterns of the files to upload. A <c>*</c> stands for characters within a name, <c>**</c> for whole folders too. A pattern
    /// without <c>/</c> is compared with the name in every folder.
    /// </summary>
    /// <value>Default: all files.</value>
    public IReadOnlyList<string> Include { get; set; } = ["**"];

    /// <summary>The patterns of the files to leave out, in addition to <c>.git</c>, temporary files and files of secrets.</summary>
    /// <value>Default: none.</value>
    public IReadOnlyList<string> Exclude { get; set; } = [];

    /// <summary>
    /// True to upload the state of training too: the optimizer's moments, the records of a run, and folders with checkpoints.
    /// </summary>
    /// <value>Default false: only what is needed to use the model.</value>
    public bool IncludeTrainingState { get; set; }

    /// <summary>The receiver of the progress of each file.</summary>
    /// <value>Default null: none.</value>
    public IProgress<HubUploadProgress>? Progress { get; set; }
}

/// <summary>The progress of the upload of one file.</summary>
/// <param name="File">The path of the file in the repository.</param>
/// <param name="FileNumber">The number of the file in this upload, from 1.</param>
/// <param name="FileCount">The number of files.</param>
/// <param name="BytesSent">The number of bytes that the hub has.</param>
/// <param name="BytesTotal">The size of the file in bytes.</param>
public readonly record struct HubUploadProgress(string File, int FileNumber, int FileCount, long BytesSent, long BytesTotal);

/// <summary>The files of a folder that an upload sends, and those that it leaves out.</summary>
/// <param name="Files">The files to send, ordered by path.</param>
/// <param name="LeftOut">The paths of the other files, ordered. A folder that is left out as a whole ends with '/'.</param>
public sealed record HubUploadList(IReadOnlyList<HubUploadFile> Files, IReadOnlyList<string> LeftOut);

/// <summary>A file to upload.</summary>
/// <param name="Path">The path in the repository, with '/' between folders.</param>
/// <param name="Size">The size in bytes.</param>
public sealed record HubUploadFile(string Path, long Size);

/// <summary>The result of an upload.</summary>
/// <param name="Commit">The id of the commit that holds the files.</param>
/// <param name="Address">The page of the commit.</param>
/// <param name="PullRequest">The page of the pull request; null without one.</param>
/// <param name="Changed">The paths of the files that differed from the repository. If it is empty, no commit was made.</param>
public sealed record HubCommit(string Commit, Uri Address, Uri? PullRequest, IReadOnlyList<string> Changed);
