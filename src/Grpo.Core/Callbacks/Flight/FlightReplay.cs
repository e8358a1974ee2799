using Grpo.Checkpoints;
using Grpo.Modeling;
using Grpo.Rollouts;

namespace Grpo.Callbacks;

/// <summary>Repeats a recorded step, or samples one of its completions again, and compares the results with the record.</summary>
/// <remarks>
/// A <see cref="GrpoOptimizer"/> repeats the step with a sampler and a reward function that return the recorded values. So the comparison
/// tests the code that trains, not a copy of it.
/// </remarks>
public sealed class FlightReplay
{
    private readonly IPolicy _policy;
    private readonly GrpoOptions _options;
    private readonly IReferenceModel? _reference;

    /// <summary>Creates a replay.</summary>
    /// <param name="policy">The policy of the run. A replay changes its weights. The caller disposes it.</param>
    /// <param name="options">The options of the run. <see cref="FlightSettings.ToOptions"/> restores them from the record.</param>
    /// <param name="reference">The reference model of the run; null if it had none.</param>
    public FlightReplay(IPolicy policy, GrpoOptions options, IReferenceModel? reference = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(options);
        _policy = policy;
        _options = options;
        _reference = reference;
    }

    /// <summary>Finds the checkpoint from which a recorded step started: the one saved after the step before it.</summary>
    /// <param name="root">The folder of a <see cref="DirectoryCheckpointStore"/>.</param>
    /// <param name="record">The record of the run.</param>
    /// <param name="step">The number of a recorded step.</param>
    /// <param name="cancellationToken">A token that stops the comparison of hashes.</param>
    /// <returns>The folder of the checkpoint; null for the first step, which starts from the initial weights of the run.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The step is not recorded; the message lists the recorded steps.</exception>
    /// <exception cref="FileNotFoundException">
    /// The run has not kept the checkpoint; the message lists the steps that can be replayed.
    /// </exception>
    /// <exception cref="InvalidDataException">The checkpoint is damaged.</exception>
    public static async Task<string?> FindCheckpointAsync(
        string root, FlightRecord record, long step, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(root);
        ArgumentNullException.ThrowIfNull(record);
        Dictionary<long, string> kept = Directory.Exists(root)
            ? CheckpointFolders.NewestFirst(root).ToDictionary(found => found.Step, found => found.Folder)
            : [];
        if (!record.Steps.Contains(step))
        {
            throw new ArgumentOutOfRangeException(
                nameof(step), $"Step {step} is not in '{record.FilePath}'; its steps: {FlightRecord.Ranges(record.Steps)}.");
        }

        if (step == 1)
        {
            return null;
        }

        if (!kept.TryGetValue(step - 1, out string? folder))
        {
            string possible = FlightRecord.Ranges(record.Steps.Where(other => other == 1 || kept.ContainsKey(other - 1)));
            throw new FileNotFoundException(
                $"Step {step} begins with the weights of {CheckpointFolders.Name(step - 1)}, which '{root}' does not hold. Steps that can "
                + $"be replayed: {possible}. To be able to replay every step, write a checkpoint after each (CheckpointEvery = 1) and keep "
                + "as many (keepLast of the store).");
        }

        return await CheckpointManifest.FindProblemAsync(folder, step - 1, withHashes: true, cancellationToken).ConfigureAwait(false)
            is { } problem
            ? throw new InvalidDataException($"'{folder}' is damaged: {problem}")
            : folder;
    }

    /// <summary>
    /// Repeats a step from its recorded completions and rewards. Advantages, log-probs, loss, gradients and all updates are computed again.
    /// Afterward the policy has the weights that follow the step.
    /// </summary>
    /// <param name="recorded">The record of the step.</param>
    /// <param name="checkpoint">
    /// The folder of the checkpoint from which the step started. Null starts from the present weights of the policy and an optimizer
    /// without moments. That is exact for the first step. For a later step, only the numbers up to the first gradient can equal the record,
    /// and only if the policy has the weights with which the step started.
    /// </param>
    /// <param name="cancellationToken">A token that stops between two micro-batches.</param>
    /// <returns>
    /// The comparison of the recorded and the repeated step. If the optimizer refuses the step, for example because numbers are not finite,
    /// nothing is thrown: <see cref="ReplayReport.Refusal"/> has the reason.
    /// </returns>
    /// <remarks>
    /// If memory ran out during the run, its micro-batches were smaller than the options say. The replay uses the recorded size
    /// (<see cref="FlightStep.MicroBatchTokens"/>).
    /// </remarks>
    /// <exception cref="InvalidDataException">
    /// The model, the seed or the format of the checkpoint differs from that of the run. Or the step has a token that the policy lacks, a
    /// prompt without tokens, or no groups.
    /// </exception>
    /// <exception cref="ArgumentException">The options are out of range, or do not fit the step.</exception>
    /// <exception cref="InvalidOperationException">
    /// The policy uses dropout in training. Or a reference model is missing, or its weights do not fit those of the policy although the
    /// options move them (<see cref="GrpoOptions.ReferenceSyncEvery"/>).
    /// </exception>
    /// <exception cref="RewardException">
    /// A reward is not a finite number. This happens only if your own code created the <see cref="FlightStep"/>, not for one
    /// read from a file.
    /// </exception>
    public async Task<ReplayReport> ReplayAsync(
        FlightStep recorded, string? checkpoint = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(recorded);
        int first = recorded.Rounds.Count == 0 ? 0 : recorded.Rounds[0];
        if (first < 1 || first > recorded.Groups.Count)
        {
            throw new InvalidDataException(
                $"The first round of step {recorded.Step} has {first} of its {recorded.Groups.Count} groups: no recorder writes that.");
        }

        var playback = new Playback(recorded);
        GrpoOptions options = _options with
        {
            MaxTokensPerMicroBatch = recorded.MicroBatchTokens ?? _options.MaxTokensPerMicroBatch,
            Rewards = new RewardOptions(), // the options of the run are for its reward function, which is not called again
        };
        using var optimizer = new GrpoOptimizer(_policy, playback, playback, options, _reference);
        RecordedTokens.Require(recorded, _policy);
        if (checkpoint is not null)
        {
            optimizer.Load(checkpoint);
        }

        optimizer.Step = recorded.Step - 1; // equal to the step of the right checkpoint
        string before = WeightHash.Compute(_policy);
        var capture = new StepCapture(_policy, options.Seed);
        try
        {
            await optimizer.StepAsync(
                [.. playback.Prompts.Take(first)], [.. playback.Prompts.Skip(first)], [capture], cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception)
            when (exception is TrainingDivergedException or (InvalidOperationException and not ObjectDisposedException))
        {
            // Most refusals leave the weights unchanged. A refused second update, or one that ruined the weights, does not.
            return new ReplayReport
            {
                Step = recorded.Step,
                RecordedWeights = recorded.WeightHash,
                Weights = before,
                WeightsAfter = WeightHash.Compute(_policy),
                Refusal = exception.Message,
            };
        }

        return ReplayReport.Compare(recorded, capture.Step!, WeightHash.Compute(_policy));
    }

    /// <summary>
    /// Samples a completion again with the recorded random numbers. It ends only at an end token of the tokenizer. Use the overload with a
    /// chat template if the template closes messages with another token.
    /// </summary>
    /// <inheritdoc cref="RegenerateAsync(FlightStep, int, int, ITokenizer, IChatTemplate, string?, CancellationToken)"/>
    public Task<RegeneratedCompletion> RegenerateAsync(
        FlightStep recorded, int prompt, int sample, ITokenizer tokenizer, string? checkpoint = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return RegenerateAsync(recorded, prompt, sample, tokenizer, tokenizer.EndTokenIds, checkpoint, cancellationToken);
    }

    /// <summary>Samples a completion again with the recorded random numbers, and compares the two.</summary>
    /// <param name="recorded">The record of the step.</param>
    /// <param name="prompt">The index of the group in the step, from 0.</param>
    /// <param name="sample">The index of the completion in the group, from 0.</param>
    /// <param name="tokenizer">The tokenizer of the policy. A completion ends at any of its end tokens.</param>
    /// <param name="template">The chat template of the run. A completion also ends at the token with which it closes a message.</param>
    /// <param name="checkpoint">The folder of the checkpoint from which the step started. Null for the present weights.</param>
    /// <param name="cancellationToken">A token that stops between two sampled tokens.</param>
    /// <returns>The comparison of the recorded completion with the new one.</returns>
    /// <remarks>
    /// Only completions of a <see cref="PolicyGroupSampler"/> can be repeated. The group is first sampled alone. In a batch of another
    /// shape, rounding differs and can change a token. So if the completion differs, all groups of its round
    /// (<see cref="FlightStep.Rounds"/>) are sampled again in their original batches, and the method returns that result.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">The step does not have the prompt or the sample.</exception>
    /// <exception cref="ArgumentException">A prompt is longer than the options allow, or the options are out of range.</exception>
    /// <exception cref="InvalidDataException">
    /// The model of the checkpoint is not that of the policy. Or the step has a token that the policy lacks, a prompt without tokens, or
    /// a group that belongs to none of its <see cref="FlightStep.Rounds"/>.
    /// </exception>
    /// <exception cref="TrainingDivergedException">The logits are not finite.</exception>
    /// <exception cref="InvalidOperationException">Not even one sequence fits into the memory of the policy's device.</exception>
    public Task<RegeneratedCompletion> RegenerateAsync(
        FlightStep recorded, int prompt, int sample, ITokenizer tokenizer, IChatTemplate template, string? checkpoint = null,
        CancellationToken cancellationToken = default) =>
        RegenerateAsync(
            recorded, prompt, sample, tokenizer, new PromptEncoder(tokenizer, template).EndTokenIds, checkpoint, cancellationToken);

    private async Task<RegeneratedCompletion> RegenerateAsync(
        FlightStep recorded, int prompt, int sample, ITokenizer tokenizer, IReadOnlySet<int> endTokenIds, string? checkpoint,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(recorded);
        if (prompt < 0 || prompt >= recorded.Groups.Count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(prompt), $"Step {recorded.Step} has prompts 0 to {recorded.Groups.Count - 1}, and no {prompt}.");
        }

        if (sample < 0 || sample >= recorded.Groups[prompt].Completions.Count)
        {
            throw new ArgumentOutOfRangeException(
                nameof(sample),
                $"Prompt {prompt} of step {recorded.Step} has samples 0 to "
                + $"{recorded.Groups[prompt].Completions.Count - 1}, and no {sample}.");
        }

        int[] round = Round(recorded, prompt);
        RecordedTokens.Require(recorded, _policy);
        if (checkpoint is not null)
        {
            _policy.Load(checkpoint);
        }


        // If a prompt occurs twice in a round, its second group continues the count of samples. Groups of one id
        // are therefore sampled together.
        int[] alone = [.. round.Where(group => recorded.Groups[group].PromptId == recorded.Groups[prompt].PromptId)];
        RegeneratedCompletion result = await SampleAsync(alone).ConfigureAwait(false);
        return result.FirstDifference is null || alone.Length == round.Length ? result : await SampleAsync(round).ConfigureAwait(false);

        async Task<RegeneratedCompletion> SampleAsync(int[] groups)
        {
            var prompts = new RecordedPrompts(tokenizer, endTokenIds, recorded);
            var request = new RolloutRequest
            {
                Prompts = [.. groups.Select(prompts.Prompt)],
                GroupSize = recorded.Groups[prompt].Completions.Count,
                Sampling = _options.Sampling,
                Seed = recorded.Seed,
                Step = recorded.Step - 1,
            };
            IReadOnlyList<RolloutGroup> sampled = await new PolicyGroupSampler(prompts, prompts)
                .SampleAsync(_policy, request, cancellationToken).ConfigureAwait(false);
            return new RegeneratedCompletion
            {
                Recorded = recorded.Groups[prompt].Completions[sample],
                Completion = sampled[Array.IndexOf(groups, prompt)].Completions[sample],
                RecordedWeights = recorded.WeightHash,
                Weights = WeightHash.Compute(_policy),
                Alone = groups.Length < round.Length,
            };
        }
    }

    // Returns the groups that were sampled in one round with a prompt.
    private static int[] Round(FlightStep recorded, int prompt)
    {
        int first = 0;
        foreach (int count in recorded.Rounds)
        {
            if (prompt < first + count)
            {
                return [.. Enumerable.Range(first, count)];
            }

            first += count;
        }

        throw new InvalidDataException($"Prompt {prompt} is in none of the rounds of step {recorded.Step}.");
    }
}

/// <summary>The comparison of a recorded completion with the one that was sampled again.</summary>
public sealed record RegeneratedCompletion
{
    /// <summary>The recorded completion.</summary>
    public required FlightCompletion Recorded { get; init; }

    /// <summary>The completion that was sampled again, with its text.</summary>
    public required Completion Completion { get; init; }

    /// <summary>The recorded hash of the weights before the step.</summary>
    public required string RecordedWeights { get; init; }

    /// <summary>The hash of the weights that the completion was sampled from again.</summary>
    public required string Weights { get; init; }

    /// <summary>
    /// True if the group was sampled alone, which is much less work. False if all groups of the round were sampled in their original
    /// batches, because sampling the group alone gave another completion.
    /// </summary>
    public required bool Alone { get; init; }

    /// <summary>
    /// The index of the first token that differs, from 0. If one completion is the beginning of the other, the length of the shorter one.
    /// Null if both are equal.
    /// </summary>
    public int? FirstDifference => Difference(Recorded.TokenIds, Completion.TokenIds);

    /// <summary>
    /// The largest difference of the sampler's log-probs before the first token that differs, in nats. Null if none were recorded. With
    /// equal tokens it can be above 0, because rounding differs in a batch of another shape.
    /// </summary>
    public double? LogProbDifference => Recorded.SamplerLogProbs is { } then && Completion.LogProbs is { } now
        ? then.Zip(now).Take(FirstDifference ?? int.MaxValue)
            .Select(pair => Distance.Between(pair.First, pair.Second)).DefaultIfEmpty().Max()
        : null;

    internal static int? Difference(IReadOnlyList<int> one, IReadOnlyList<int> other)
    {
        int common = Math.Min(one.Count, other.Count);
        for (int i = 0; i < common; i++)
        {
            if (one[i] != other[i])
            {
                return i;
            }
        }

        return one.Count == other.Count ? null : common;
    }
}
