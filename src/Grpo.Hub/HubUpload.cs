namespace Grpo.Hub;

/// <summary>Uploads the folder of a model to a Hugging Face hub, in one commit.</summary>
/// <remarks>
/// <para>
/// The repository is created if it does not exist. Files that the hub already has are not sent again, so that a call after a failure
/// continues it. The commit is made only after every file has arrived, and then each file of it is compared with the folder.</para>
/// <para>
/// The access token is sent to the hub only, as with <see cref="HubClient"/>, and never to the store of large files. It needs the right to
/// write.</para>
/// </remarks>
public static class HubUpload
{
    /// <summary>Lists the files that <see cref="SendAsync"/> would send. Nothing is read but names and sizes.</summary>
    /// <param name="folder">The folder of a model.</param>
    /// <param name="options">The options; null for the defaults.</param>
    /// <returns>The files to send and those that are left out.</returns>
    /// <exception cref="ArgumentException">A pattern is malformed.</exception>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="HubException">A link leads out of the folder, a name is not allowed on the hub, or no file is left.</exception>
    public static HubUploadList List(string folder, HubUploadOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return UploadFolder.List(folder, options ?? new HubUploadOptions());
    }

    /// <summary>Uploads a folder and returns the commit that holds it.</summary>
    /// <param name="folder">The folder of a model.</param>
    /// <param name="id">The id of the model on the hub, owner/name.</param>
    /// <param name="options">The options; null for the defaults.</param>
    /// <param name="cancellationToken">Stops the upload. The next call sends only what the hub lacks.</param>
    /// <returns>The commit. If the repository holds the same files already, it is the newest one of the branch.</returns>
    /// <exception cref="ArgumentException">The id or an option is malformed.</exception>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="HubException">
    /// The hub is unreachable, refuses the request or answers wrongly, or a file changes during the upload. Or the folder holds something
    /// that cannot be uploaded. The message says what to do.
    /// </exception>
    public static async Task<HubCommit> SendAsync(
        string folder, string id, HubUploadOptions? options = null, CancellationToken cancellationToken = default)
    {
        HubNames.RequireId(id, "your-name/your-model", "create an account on the hub");
        options ??= new HubUploadOptions();
        ArgumentNullException.ThrowIfNull(options.Connection);
        HubSettings settings = HubSettings.Resolve(
            options.Connection,
            Environment.GetEnvironmentVariable,
            Environment.GetFolderPath(Environment.SpecialFolder.UserProfile));
        Check(options, settings);
        HubUploadList list = List(folder, options);
        using var connection = new HubConnection(settings);
        try
        {
            var push = new HubPush(connection, HubRepositoryId.Model(id), options);
            return await push.RunAsync(folder, list.Files, cancellationToken).ConfigureAwait(false);
        }
        catch (HubTransientException e)
        {
            string message = $"'{id}' was not uploaded to {settings.Endpoint.Host}: {e.Message} What has arrived is kept: "
                + "the next call sends only the rest.";
            throw settings.Secret.IsIn(e.ToString())
                ? new HubException(settings.Secret.Mask(message)) // without the inner exceptions, which repeat the server's text
                : new HubException(message, e);
        }
        catch (HubException e) when (settings.Secret.IsIn(e.ToString()))
        {
            throw new HubException(settings.Secret.Mask(e.Message));
        }
    }

    private static void Check(HubUploadOptions options, HubSettings settings)
    {
        if (settings.Offline)
        {
            throw new HubException("An upload needs the network, which is off (HF_HUB_OFFLINE or HubOptions.Offline).");
        }

        if (HubNames.IsCommit(settings.Revision))
        {
            throw new ArgumentException(
                $"The revision '{settings.Revision}' is a commit, which never changes. Give a branch such as main.");
        }

        if (options.ParentCommit is { } parent && !HubNames.IsCommit(parent))
        {
            throw new ArgumentException("ParentCommit must be the id of a commit: 40 hexadecimal digits in lower case.");
        }

        if (string.IsNullOrWhiteSpace(options.CommitMessage) || options.CommitMessage.Length > 200
            || options.CommitMessage.Any(char.IsControl))
        {
            throw new ArgumentException("CommitMessage must be one line of 1 to 200 characters.");
        }
    }
}
