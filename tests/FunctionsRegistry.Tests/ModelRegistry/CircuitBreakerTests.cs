using FsCheck;
using FsCheck.Fluent;
using FunctionsRegistry.ModelRegistry.Mlflow;

namespace FunctionsRegistry.Tests.ModelRegistry;

public sealed class CircuitBreakerTests
{
    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UnixEpoch.AddYears(50);

        public override DateTimeOffset GetUtcNow() => Now;
    }

    private static (CircuitBreaker Breaker, Clock Clock) New(int threshold = 3)
    {
        var clock = new Clock();
        return (new CircuitBreaker(threshold, TimeSpan.FromSeconds(60), clock), clock);
    }

    [Fact]
    public void It_opens_at_the_threshold_lets_one_probe_pass_and_closes_after_two_successes()
    {
        var (breaker, clock) = New();
        breaker.ReportFailure().ShouldBeFalse();
        breaker.ReportFailure().ShouldBeFalse();
        breaker.ReportFailure().ShouldBeTrue();
        breaker.TryEnter().ShouldBeFalse();
        breaker.Snapshot.RetryAfter.ShouldBe(TimeSpan.FromSeconds(60));

        clock.Now += TimeSpan.FromSeconds(60);
        breaker.Snapshot.Name.ShouldBe("HALF_OPEN");
        breaker.TryEnter().ShouldBeTrue();
        breaker.TryEnter().ShouldBeFalse();
        breaker.ReportSuccess().ShouldBeFalse();
        breaker.TryEnter().ShouldBeTrue();
        breaker.ReportSuccess().ShouldBeTrue();
        (breaker.Snapshot.Name, breaker.Snapshot.FailureCount).ShouldBe(("CLOSED", 0));
    }

    [Fact]
    public void A_failed_probe_opens_it_again_and_a_lost_one_does_not_block_for_ever()
    {
        var (breaker, clock) = New(1);
        breaker.ReportFailure();
        clock.Now += TimeSpan.FromSeconds(61);
        breaker.TryEnter().ShouldBeTrue();
        breaker.ReportFailure().ShouldBeTrue();
        breaker.TryEnter().ShouldBeFalse();
        clock.Now += TimeSpan.FromSeconds(61);
        breaker.TryEnter().ShouldBeTrue();
        breaker.TryEnter().ShouldBeFalse();
        clock.Now += TimeSpan.FromSeconds(61);
        breaker.TryEnter().ShouldBeTrue();
        breaker.Leave();
        breaker.TryEnter().ShouldBeTrue();
    }

    [Fact]
    public void A_success_takes_one_failure_back_and_a_reset_takes_all()
    {
        var (breaker, _) = New(2);
        breaker.ReportFailure();
        breaker.ReportSuccess();
        breaker.ReportFailure().ShouldBeFalse();
        breaker.ReportFailure().ShouldBeTrue();
        breaker.Reset();
        breaker.Snapshot.ShouldBe(new BreakerSnapshot(BreakerState.Closed, 0, null, TimeSpan.Zero));
    }

    [Fact]
    public void Whatever_happens_it_never_lets_two_probes_pass_or_a_call_while_open()
    {
        var steps = Gen.ListOf(Gen.Choose(0, 4));
        Prop.ForAll(Arb.From(steps), list =>
        {
            var (breaker, clock) = New(2);
            var inFlight = 0;
            foreach (var step in list)
            {
                var before = breaker.Snapshot.State;
                switch (step)
                {
                    case 0 when breaker.TryEnter():
                        if (before == BreakerState.Open || (before == BreakerState.HalfOpen && inFlight > 0))
                            return false;
                        inFlight = before == BreakerState.HalfOpen ? 1 : 0;
                        break;
                    case 1:
                        breaker.ReportSuccess();
                        inFlight = 0;
                        break;
                    case 2:
                        breaker.ReportFailure();
                        inFlight = 0;
                        break;
                    case 3:
                        clock.Now += TimeSpan.FromSeconds(61);
                        inFlight = 0;
                        break;
                    case 4:
                        breaker.Leave();
                        inFlight = 0;
                        break;
                }
            }
            return breaker.Snapshot.FailureCount >= 0;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }
}
